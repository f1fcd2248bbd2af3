#include "pipelines/link/lane_reader.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/error/check.h"
#include "pipelines/link/link_segment.h"

namespace slipring {

LinkShape lane_set_shape(std::uint32_t lane_count, std::uint64_t lane_bytes,
                         std::uint64_t credit_count) noexcept {
  LinkShape shape;
  shape.kind = SegmentKind::kRecordLink;
  shape.capacity_bytes = lane_bytes;
  shape.credit_count = credit_count;
  shape.lane_count = lane_count;
  return shape;
}

Result<LaneReader> LaneReader::attach(const SegmentDirectory& directory, std::string_view name,
                                      MemoryLock memory_lock, const LanePolicy& policy) noexcept {
  check(policy.quantum != 0, "a policy that never serves");
  Result<std::vector<LinkHold>> holds = take_lanes(directory, name, memory_lock);
  if (!holds) return holds.error();
  LaneReader set(holds->front().shape, policy);
  set.lanes_.reserve(holds->size());
  set.points_.reserve(2 * holds->size());
  for (LinkHold& hold : *holds) {
    Lane& lane = set.lanes_.emplace_back();
    Result<LinkReader> reader =
        hold.guard ? LinkReader::attach_lane(std::move(hold)) : LinkReader::attach(std::move(hold));
    if (reader) {
      lane.reader.emplace(std::move(reader).value());
      lane.is_cut = lane.reader->is_corrupt();
      lane.is_answered = !lane.is_cut;
      set.incarnation_ = std::max(set.incarnation_, lane.reader->incarnation());
    } else if (reader.error().code == ErrorCode::kCorruptPeer) {
      lane.is_cut = true;
      lane.is_answered = false;
    } else {
      return reader.error();
    }
  }
  return set;
}

void LaneReader::end_turn() noexcept {
  at_ = at_ + 1 == lane_count() ? 0 : at_ + 1;
  taken_in_turn_ = 0;
}

// A lane keeps its writer for as long as it holds a message of it.
void LaneReader::name_sender(Lane& lane) noexcept {
  const LinkPeer known = lane.reader->sender();
  if (known.is_known) {
    lane.sender = known;
    return;
  }
  const std::uint32_t incarnation = lane.reader->writer_incarnation();
  if (incarnation == lane.incarnation) return;
  lane.incarnation = incarnation;
  lane.sender = lane.reader->look_at_writer();
}

// A lane that was cut off, with its next writer, if there is one.
void LaneReader::rejoin(Lane& lane) noexcept {
  if (!lane.reader) return;
  const Transfer joined = lane.reader->rejoin();
  if (joined == Transfer::kBlocked) return;
  lane.is_cut = joined == Transfer::kCorruptPeer;
  lane.is_answered = !lane.is_cut;
  lane.is_idle = false;
}

Transfer LaneReader::peek_at(Lane& lane, LaneMessage& message) noexcept {
  if (lane.is_cut && lane.is_answered) rejoin(lane);
  if (lane.is_cut) {
    if (lane.is_answered) return Transfer::kBlocked;
    lane.is_answered = true;
    message.sender = lane.reader ? lane.reader->sender() : LinkPeer{};
    return Transfer::kCorruptPeer;
  }
  if (lane.is_idle && !lane.reader->has_message()) return Transfer::kBlocked;
  const Transfer answer = lane.reader->try_peek(message.message);
  lane.is_idle = answer != Transfer::kDone;
  if (answer == Transfer::kDone) {
    name_sender(lane);
    message.sender = lane.sender;
    message.origin = lane.reader->writer_origin();
  } else if (answer == Transfer::kCorruptPeer) {
    lane.is_cut = true;
    message.sender = lane.reader->offender().value_or(LinkPeer{});
  }
  return answer;
}

Transfer LaneReader::try_peek(LaneMessage& message) noexcept {
  for (std::uint32_t visited = 0; visited <= lane_count(); ++visited) {
    message.lane = at_;
    const Transfer answer = peek_at(lanes_[at_], message);
    if (answer != Transfer::kDone || ++taken_in_turn_ == policy_.quantum) end_turn();
    if (answer != Transfer::kBlocked) return answer;
  }
  return Transfer::kBlocked;
}

void LaneReader::release(const LaneMessage& message) noexcept {
  check(message.lane < lane_count() && lanes_[message.lane].reader, "release of what was not held");
  Lane& lane = lanes_[message.lane];
  lane.reader->release(message.message);
  lane.is_idle = false;
}

void LaneReader::skip_aborted() noexcept {
  for (Lane& lane : lanes_) {
    if (!lane.is_cut && lane.reader->has_abort()) lane.reader->skip_aborted();
  }
}

void LaneReader::obey_commands() noexcept {
  for (Lane& lane : lanes_) {
    if (!lane.is_cut) lane.reader->obey_commands();
  }
}

bool LaneReader::has_dropped_behind() const noexcept {
  return std::any_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) {
    return !lane.is_cut && lane.reader->has_dropped_behind();
  });
}

void LaneReader::close() noexcept {
  for (Lane& lane : lanes_) {
    if (lane.reader) lane.reader->close();
  }
}

bool LaneReader::has_message(const Lane& lane) noexcept {
  if (!lane.is_cut) return lane.reader->has_message();
  return !lane.is_answered || (lane.reader && lane.reader->has_successor());
}

bool LaneReader::has_message() const noexcept {
  return std::any_of(lanes_.begin(), lanes_.end(),
                     [](const Lane& lane) { return has_message(lane); });
}

bool LaneReader::has_message(std::uint32_t lanes) const noexcept {
  for (; lanes != 0; lanes &= lanes - 1) {
    if (has_message(lanes_[static_cast<std::uint32_t>(std::countr_zero(lanes))])) return true;
  }
  return false;
}

std::uint32_t LaneReader::lanes_with_writers() const noexcept {
  std::uint32_t lanes = 0;
  for (std::uint32_t i = 0; i < lane_count(); ++i) {
    const Lane& lane = lanes_[i];
    const bool may_have = lane.is_cut || lane.reader->writer_incarnation() != 0 ||
                          lane.reader->protection() != ProtectionLevel::kNone;
    if (may_have) lanes |= std::uint32_t{1} << i;
  }
  return lanes;
}

bool LaneReader::is_finished() const noexcept {
  bool had_writer = false;
  for (const Lane& lane : lanes_) {
    if (lane.is_cut && lane.reader && lane.reader->has_successor()) return false;
    if (lane.is_cut || lane.reader->writer_incarnation() == 0) continue;
    if (!lane.reader->is_finished()) return false;
    had_writer = true;
  }
  return had_writer;
}

Result<std::uint32_t> LaneReader::count_writers() const noexcept {
  std::uint32_t count = 0;
  for (const Lane& lane : lanes_) {
    if (!lane.reader) continue;
    Result<bool> held = lane.reader->has_writer();
    if (!held) return held.error();
    if (*held) ++count;
  }
  return count;
}

Result<bool> LaneReader::has_writer(std::uint32_t lane) const noexcept {
  check(lane < lane_count(), "no such lane");
  if (!lanes_[lane].reader) return false;
  return lanes_[lane].reader->has_writer();
}

std::span<const WaitPoint> LaneReader::message_points() noexcept {
  points_.clear();
  for (Lane& lane : lanes_) {
    if (!lane.reader) continue;
    if (!lane.is_cut) points_.push_back(lane.reader->message_point());
    if (const std::optional<WaitPoint> news = lane.reader->news_point()) points_.push_back(*news);
  }
  return points_;
}

void LaneReader::look_for_news() noexcept {
  for (Lane& lane : lanes_) {
    if (lane.is_cut) {
      rejoin(lane);
    } else {
      lane.reader->look_for_news();
    }
  }
}

void LaneReader::count_sleep(std::uint64_t more) noexcept {
  for (Lane& lane : lanes_) {
    if (!lane.reader) continue;
    lane.reader->count_sleep(more);
    return;
  }
}

std::uint32_t LaneReader::cut_lanes() const noexcept {
  std::uint32_t cut = 0;
  for (std::uint32_t i = 0; i < lane_count(); ++i) {
    if (lanes_[i].is_cut) cut |= std::uint32_t{1} << i;
  }
  return cut;
}

}  // namespace slipring

#include "pipelines/link/topic_reader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "platform/memory/segment_file.h"

namespace slipring {

Result<TopicReader> TopicReader::attach(const SegmentDirectory& directory, std::string_view topic,
                                        BroadcastJoin from, MemoryLock memory_lock) noexcept {
  TopicReader reader(directory, topic, memory_lock);
  BroadcastReadOptions options;
  options.from = from;
  options.memory_lock = memory_lock;
  if (Status joined = reader.join(0, options); !joined) return joined.error();
  BroadcastReceiver& first = reader.lanes_.front().receiver;
  reader.has_lanes_beside_ =
      !first.is_guarded() && first.shape().policy == BroadcastPolicy::kOverwrite;
  Result<bool> others = reader.join_missing(options);
  if (!others) return others.error();
  return reader;
}

Status TopicReader::join(std::uint32_t number, const BroadcastReadOptions& options) noexcept {
  Result<BroadcastReceiver> lane =
      BroadcastReceiver::attach(*directory_, topic_lane_name(topic_, number), options);
  if (!lane) return lane.error();
  lanes_.push_back({std::move(lane).value(), number});
  return {};
}

bool TopicReader::is_joined(std::uint32_t number) const noexcept {
  return std::any_of(lanes_.begin(), lanes_.end(),
                     [&](const Lane& lane) { return lane.number == number; });
}

// Of the lanes that we have not, those that are there.
Result<bool> TopicReader::join_missing(BroadcastReadOptions options) noexcept {
  bool has_joined = false;
  for (std::uint32_t number = 1; has_lanes_beside_ && number < kMaxTopicLanes; ++number) {
    if (is_joined(number)) continue;
    // Cheaper than an attempt to attach, and mostly the answer.
    if (!SegmentFile::open(*directory_, topic_lane_name(topic_, number))) continue;
    const Status joined = join(number, options);
    if (!joined && joined.error().code == ErrorCode::kNotFound) continue;
    if (!joined) return joined.error();
    has_joined = true;
  }
  return has_joined;
}

Result<bool> TopicReader::look_for_lanes() noexcept {
  BroadcastReadOptions options;
  options.from = BroadcastJoin::kOldest;
  options.memory_lock = memory_lock_;
  options.is_owed_all = true;
  return join_missing(options);
}

void TopicReader::end_turn() noexcept {
  taken_in_turn_ = 0;
  at_ = at_ + 1 == lanes_.size() ? 0 : at_ + 1;
}

void TopicReader::name_sender(Lane& lane, TopicMessage& message) noexcept {
  const std::uint32_t writer = message.message.writer;
  if (lane.sender.incarnation != writer || writer == 0 || lane.receiver.is_guarded()) {
    lane.sender = lane.receiver.look_at_publisher(writer);
  }
  message.lane = lane.number;
  message.sender = lane.sender;
}

Transfer TopicReader::try_receive(TopicMessage& message) noexcept {
  for (std::size_t visited = 0; visited <= lanes_.size(); ++visited) {
    Lane& lane = lanes_[at_];
    if (lane.is_cut) {
      end_turn();
      continue;
    }
    const Transfer answer = lane.receiver.try_receive(message.message);
    if (answer == Transfer::kDone) {
      lane.had_publisher = true;
      name_sender(lane, message);
      if (++taken_in_turn_ == kTopicQuantum) end_turn();
      return answer;
    }
    end_turn();
    if (answer != Transfer::kCorruptPeer) continue;
    lane.is_cut = true;
    message.lane = lane.number;
    message.sender = lane.receiver.look_at_publisher(lane.receiver.writer_incarnation());
    return answer;
  }
  return Transfer::kBlocked;
}

void TopicReader::release(const TopicMessage& message) noexcept {
  for (Lane& lane : lanes_) {
    if (lane.number == message.lane) lane.receiver.release(message.message);
  }
}

bool TopicReader::has_message() const noexcept {
  return std::any_of(lanes_.begin(), lanes_.end(),
                     [](const Lane& lane) { return !lane.is_cut && lane.receiver.has_message(); });
}

bool TopicReader::is_closed() const noexcept {
  bool had_writer = false;
  for (const Lane& lane : lanes_) {
    // Closed first: a writer that attaches after another has closed is seen as not closed.
    if (lane.receiver.is_writer_closed()) {
      had_writer = true;
    } else if (lane.receiver.writer_incarnation() != 0) {
      return false;
    }
  }
  return had_writer;
}

Result<std::uint32_t> TopicReader::count_publishers() noexcept {
  std::uint32_t count = 0;
  for (Lane& lane : lanes_) {
    Result<Probe> writer = lane.receiver.probe_writer();
    if (!writer) return writer.error();
    if (writer->holder == Holder::kNobody) continue;
    lane.had_publisher = true;
    ++count;
  }
  return count;
}

bool TopicReader::had_publisher() const noexcept {
  return std::any_of(lanes_.begin(), lanes_.end(),
                     [](const Lane& lane) { return lane.had_publisher; });
}

bool TopicReader::has_unclosed() const noexcept {
  return std::any_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) {
    return lane.had_publisher && !lane.receiver.is_writer_closed();
  });
}

std::span<const WaitPoint> TopicReader::message_points() noexcept {
  points_.clear();
  for (Lane& lane : lanes_) {
    points_.push_back(lane.receiver.message_point());
    if (const std::optional<WaitPoint> news = lane.receiver.news_point()) points_.push_back(*news);
  }
  return points_;
}

std::uint64_t TopicReader::lost_count() const noexcept {
  std::uint64_t count = 0;
  for (const Lane& lane : lanes_) count += lane.receiver.lost_count();
  return count;
}

}  // namespace slipring

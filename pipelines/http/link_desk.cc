#include "pipelines/http/link_desk.h"

#include <algorithm>

#include "pipelines/adapter/link_meeting.h"
#include "pipelines/link/link_observer.h"
#include "pipelines/link/link_segment.h"
#include "platform/memory/segment_file.h"
#include "platform/wait/clock.h"

namespace slipring::http {
namespace {

int status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kBusy:
      return 409;
    case ErrorCode::kPermission:
      return 403;
    case ErrorCode::kCorruptPeer:
      return 502;
    case ErrorCode::kVersion:
      return 422;
    case ErrorCode::kLockLimit:
    case ErrorCode::kNoSpace:
      return 503;
    default:
      return 500;
  }
}

std::string remedy_for(ErrorCode code, const std::string& name) {
  switch (code) {
    case ErrorCode::kNotFound:
      return "GET /v1/links lists those there are; `slipring create " + name + "` makes one";
    case ErrorCode::kBusy:
      return "stop that process, or wait until it has laid the role down";
    case ErrorCode::kVersion:
      return "see `slipring verify " + name + "`";
    case ErrorCode::kCorruptPeer:
      return "stop the other end and remove the link; see `slipring verify " + name + "`";
    default:
      return "see `slipring doctor`";
  }
}

}  // namespace

DeskAnswer LinkDesk::refuse(int status, std::string what, std::string found, std::string remedy) {
  refusal_ = {status, name_ + ": " + what, std::move(found), std::move(remedy)};
  return DeskAnswer::kRefused;
}

DeskAnswer LinkDesk::refuse(const char* doing, const Error& error) {
  std::string found = name_of(error.code);
  if (error.code == ErrorCode::kBusy) {
    found = error.found != 0 ? "process " + std::to_string(error.found) + " holds the role"
                             : "a process of another PID namespace holds the role";
  } else if (*error.doing != '\0') {
    found += std::string(": ") + error.doing;
  }
  return refuse(status_of(error.code), doing, std::move(found), remedy_for(error.code, name_));
}

DeskAnswer LinkDesk::refuse_corrupt(const char* who, const std::optional<LinkPeer>& offender) {
  std::string found = "impossible values in its memory";
  if (offender && offender->process_id != 0) {
    found += ", written by process " + std::to_string(offender->process_id);
  }
  return refuse(502, std::string("the ") + who + " is corrupt", std::move(found),
                remedy_for(ErrorCode::kCorruptPeer, name_));
}

void LinkDesk::touch() noexcept {
  used_ns_ = monotonic_ns();
}

void LinkDesk::drop_ends() noexcept {
  window_.clear();
  reader_.reset();
  lanes_.reset();
  value_reader_.reset();
  value_writer_.reset();
  writer_.reset();
  stream_reader_.reset();
  stream_writer_.reset();
  inode_ = 0;
  repeat_before_ = 0;
}

DeskAnswer LinkDesk::open() {
  touch();
  const bool has_ends = has_reader() || has_writer();
  if (has_ends && is_under_way()) return DeskAnswer::kDone;
  Result<SegmentFile> file = SegmentFile::open(*directory_, name_);
  const std::uint64_t inode = file ? file->inode() : 0;
  // A guarded link's ends stay with its broker, and tell by themselves when that is gone.
  if (has_ends && inode == inode_) return DeskAnswer::kDone;
  drop_ends();
  Result<LinkObserver> observer = LinkObserver::attach(*directory_, name_);
  if (!observer) return refuse("there is no such link to be used", observer.error());
  shape_ = observer->report().shape;
  inode_ = inode;
  if (shape_.pool_buffer_count != 0) {
    return refuse(422, "its messages are handles of a buffer pool", "a link with a pool",
                  "use a link without a pool");
  }
  switch (segment_kind(shape_)) {
    case SegmentKind::kRecordLink:
    case SegmentKind::kSlotLink:
    case SegmentKind::kStreamLink:
    case SegmentKind::kLaneSet:
    case SegmentKind::kValueLink:
      return DeskAnswer::kDone;
    default:
      return refuse(422, "HTTP carries records, slots, streams, values and lane sets",
                    name_of(segment_kind(shape_)), "make a link of one of these kinds");
  }
}

std::uint64_t LinkDesk::message_bytes_max() const noexcept {
  if (shape_.kind == SegmentKind::kRecordLink) {
    return record_max_payload_bytes(shape_.capacity_bytes);
  }
  return shape_.kind == SegmentKind::kSlotLink || is_values() ? shape_.slot_bytes : UINT64_MAX;
}

DeskAnswer LinkDesk::need_reader() {
  touch();
  if (has_reader()) return DeskAnswer::kDone;
  constexpr const char* kDoing = "its reading end cannot be taken";
  if (is_stream()) {
    Result<StreamReader> end = StreamReader::attach(*directory_, name_);
    if (!end) return refuse(kDoing, end.error());
    stream_reader_.emplace(std::move(end).value());
  } else if (is_values()) {
    Result<ValueBytesReader> end = ValueBytesReader::attach(*directory_, name_);
    if (!end) return refuse(kDoing, end.error());
    value_reader_.emplace(std::move(end).value());
    value_reader_->obey_by_hand();
    next_value_ = value_reader_->done();
  } else if (is_lane_set(shape_)) {
    Result<LaneReader> end = LaneReader::attach(*directory_, name_);
    if (!end) return refuse(kDoing, end.error());
    lanes_.emplace(std::move(end).value());
  } else {
    Result<LinkReader> end = LinkReader::attach(*directory_, name_);
    if (!end) return refuse(kDoing, end.error());
    reader_.emplace(std::move(end).value());
  }
  return DeskAnswer::kDone;
}

// A lane that has to be cut off is answered once; the others go on.
Transfer LinkDesk::peek(LaneMessage& next) noexcept {
  if (value_reader_) return peek_value(next.message);
  if (!lanes_) return reader_->try_peek(next.message);
  Transfer answer = Transfer::kCorruptPeer;
  while (answer == Transfer::kCorruptPeer) answer = lanes_->try_peek(next);
  return answer;
}

// What was aborted is dropped while nothing is under way; later it is left out one by one.
Transfer LinkDesk::peek_value(Message& next) noexcept {
  if (window_.is_empty()) {
    value_reader_->skip_aborted();
    next_value_ = std::max(next_value_, value_reader_->done());
  }
  StreamParts<const std::byte> value;
  std::uint64_t count = 0;
  const Transfer answer = value_reader_->try_peek(next_value_, 1, value, count);
  if (answer != Transfer::kDone) return answer;
  next = {};
  next.bytes = value.first;
  next.aborted = next_value_ < value_reader_->abort_before();
  next.position = next_value_++;
  return answer;
}

void LinkDesk::finish(const LaneMessage& message) noexcept {
  if (value_reader_) return value_reader_->consume(1);
  lanes_ ? lanes_->release(message) : reader_->release(message.message);
}

DeskAnswer LinkDesk::take_message(Taken& taken) {
  while (!window_.has_waiting() && !window_.is_full()) {
    LaneMessage next;
    const Transfer answer = peek(next);
    if (answer == Transfer::kCorruptPeer) {
      return refuse_corrupt("writer", reader_ ? reader_->offender() : std::nullopt);
    }
    if (answer == Transfer::kBlocked) break;
    window_.add(next, next.message.redelivered);
    if (!next.message.aborted) break;
    // No longer wanted: finished in its turn, and delivered to nobody.
    confirm(window_.hand_out().number);
  }
  if (!window_.has_waiting()) {
    // A mailbox is never over: another sender may come.
    const bool is_over = window_.is_empty() &&
                         ((reader_ && reader_->is_finished()) || (value_reader_ && is_value_end()));
    return is_over ? DeskAnswer::kOver : DeskAnswer::kBlocked;
  }
  const auto delivery = window_.hand_out();
  const Message& message = delivery.message.message;
  taken = {delivery.number, message.position, {message.bytes, {}}, delivery.redelivered};
  return DeskAnswer::kDone;
}

DeskAnswer LinkDesk::take(std::uint64_t piece_bytes, Taken& taken) {
  if (const DeskAnswer answer = need_reader(); answer != DeskAnswer::kDone) return answer;
  if (!stream_reader_) return take_message(taken);
  if (has_taker_) return DeskAnswer::kBlocked;
  stream_reader_->skip_aborted();
  if (const DeskAnswer answer = follow(0, taken); answer != DeskAnswer::kDone) return answer;
  taken.parts[0] = taken.parts[0].first(std::min<std::size_t>(taken.parts[0].size(), piece_bytes));
  taken.parts[1] = taken.parts[1].first(
      std::min<std::size_t>(taken.parts[1].size(), piece_bytes - taken.parts[0].size()));
  has_taker_ = true;
  piece_bytes_ = taken.size_bytes();
  return DeskAnswer::kDone;
}

void LinkDesk::confirm(std::uint64_t number) noexcept {
  touch();
  if (stream_reader_) {
    consume(piece_bytes_);
    has_taker_ = false;
    return;
  }
  window_.confirm(number);
  while (const std::optional<LaneMessage> finished = window_.finish_one()) finish(*finished);
}

void LinkDesk::give_back(std::uint64_t number) noexcept {
  touch();
  if (stream_reader_) {
    end_follow(false, piece_bytes_);
  } else {
    window_.give_back(number);
  }
}

DeskAnswer LinkDesk::begin_follow() {
  if (!is_stream()) {
    return refuse(422, "only a stream can be followed", name_of(shape_.kind),
                  "GET takes one message; ask again for the next");
  }
  if (const DeskAnswer answer = need_reader(); answer != DeskAnswer::kDone) return answer;
  if (has_taker_) return DeskAnswer::kBlocked;
  stream_reader_->skip_aborted();
  has_taker_ = true;
  return DeskAnswer::kDone;
}

DeskAnswer LinkDesk::follow(std::uint64_t ahead_bytes, Taken& taken) {
  if (ahead_bytes >= shape_.capacity_bytes) return DeskAnswer::kBlocked;
  StreamView view;
  const Transfer answer = stream_reader_->try_peek(view, ahead_bytes + 1);
  if (answer == Transfer::kCorruptPeer) return refuse_corrupt("writer", std::nullopt);
  if (answer == Transfer::kDone && view.bytes.size() > ahead_bytes) {
    taken.position = stream_reader_->done();
    taken.redelivered =
        view.redelivered_bytes > ahead_bytes || taken.position + ahead_bytes < repeat_before_;
    const std::size_t skipped = std::min<std::size_t>(view.bytes.first.size(), ahead_bytes);
    taken.parts = {view.bytes.first.subspan(skipped),
                   view.bytes.second.subspan(ahead_bytes - skipped)};
    return DeskAnswer::kDone;
  }
  // In this order: what was published before closing is seen now.
  const bool is_over =
      stream_reader_->is_peer_closed() && !stream_reader_->has_bytes(ahead_bytes + 1);
  return is_over ? DeskAnswer::kOver : DeskAnswer::kBlocked;
}

void LinkDesk::consume(std::uint64_t count) noexcept {
  touch();
  if (count != 0) stream_reader_->consume(count);
}

void LinkDesk::end_follow(bool to_its_end, std::uint64_t ahead_bytes) noexcept {
  touch();
  has_taker_ = false;
  if (!to_its_end) {
    repeat_before_ = stream_reader_->done() + ahead_bytes;
    return;
  }
  stream_reader_->close();
  stream_reader_.reset();
  if (has_putter_) return;
  stream_writer_.reset();
  // A failure leaves a name that `slipring reap` finds.
  if (inode_ != 0) static_cast<void>(remove_if_over(*directory_, name_, inode_));
}

bool LinkDesk::has_news(Wish wish, std::uint64_t bytes) const {
  switch (wish) {
    case Wish::kMessage:
      if (window_.has_waiting()) return true;
      if (lanes_) return !window_.is_full() && lanes_->has_message();
      if (value_reader_) {
        return (!window_.is_full() && value_reader_->has_value(next_value_)) ||
               (window_.is_empty() && is_value_end());
      }
      if (reader_) {
        return (!window_.is_full() && reader_->has_message()) ||
               (window_.is_empty() && reader_->is_finished());
      }
      return stream_reader_ && !has_taker_ &&
             (stream_reader_->has_bytes() || stream_reader_->is_finished());
    case Wish::kFollow:
      return stream_reader_ &&
             (stream_reader_->is_peer_closed() ||
              (bytes < shape_.capacity_bytes && stream_reader_->has_bytes(bytes + 1)));
    case Wish::kSpace:
      if (writer_) return writer_->has_space(bytes) || writer_->is_peer_closed();
      if (value_writer_) return value_writer_->has_space(1) || value_writer_->is_peer_closed();
      return stream_writer_ && (stream_writer_->has_space() || stream_writer_->is_peer_closed());
    case Wish::kTurn:
      return !has_putter_;
  }
  return false;
}

bool LinkDesk::rest(std::uint64_t before_ns) noexcept {
  if (is_under_way()) return false;
  if (used_ns_ <= before_ns) {
    drop_ends();
    // A failure leaves a name that `slipring reap` finds.
    if (is_lane_set(shape_)) static_cast<void>(remove_if_idle(*directory_, name_));
  }
  return !has_reader() && !has_writer();
}

}  // namespace slipring::http

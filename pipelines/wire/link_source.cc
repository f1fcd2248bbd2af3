#include "pipelines/wire/link_source.h"

#include <algorithm>
#include <utility>

#include "pipelines/wire/wire_shape.h"

namespace slipring::wire {
Result<LinkSource> LinkSource::attach(const SegmentDirectory& directory, std::string_view name,
                                      MemoryLock memory_lock) noexcept {
  Result<StreamReader> stream = StreamReader::attach(directory, name, memory_lock);
  if (stream) {
    if (Status fits = check_wire_shape(stream->shape()); !fits) return fits.error();
    return LinkSource(std::move(stream).value());
  }
  if (stream.error().code != ErrorCode::kVersion) return stream.error();
  Result<LinkReader> messages = LinkReader::attach(directory, name, memory_lock);
  if (!messages) return messages.error();
  if (Status fits = check_wire_shape(messages->shape()); !fits) return fits.error();
  return LinkSource(std::move(messages).value());
}

LinkSource::LinkSource(LinkReader messages) noexcept
    : messages_(std::move(messages)),
      kind_(wire_kind_of(messages_->shape())),
      message_bytes_max_(message_bytes_max_of(messages_->shape())),
      cursor_(messages_->done()),
      held_(kHeldMessagesMax) {
  doomed_.reserve(kHeldMessagesMax);
  // A command is told to the other side before it is obeyed: take_abort() does both.
  messages_->set_control_interval(kControlByHand);
}

LinkSource::LinkSource(StreamReader stream) noexcept
    : stream_(std::move(stream)), cursor_(stream_->done()) {
  stream_->set_control_interval(kControlByHand);
}

// Into held_, if there is a message and a place.
bool LinkSource::peek_one() noexcept {
  if (held_count_ == held_.size()) return false;
  Message message;
  const Transfer answer = messages_->try_peek(message);
  is_corrupt_ = answer == Transfer::kCorruptPeer;
  if (answer != Transfer::kDone) return false;
  held_[(held_first_ + held_count_) % held_.size()] = message;
  ++held_count_;
  return true;
}

Transfer LinkSource::next(Piece& piece, std::size_t bytes_max) noexcept {
  if (stream_) {
    const std::uint64_t under_way = cursor_ - stream_->done();
    StreamView view;
    const Transfer answer = stream_->try_peek(view, under_way + 1);
    if (answer != Transfer::kDone) return answer;
    const std::size_t there = view.bytes.size();
    if (there <= under_way) return Transfer::kBlocked;
    const auto begin = static_cast<std::size_t>(under_way);
    const std::size_t count = std::min(there - begin, bytes_max);
    const std::size_t first_bytes = view.bytes.first.size();
    piece = {};
    if (begin < first_bytes) {
      piece.first = view.bytes.first.subspan(begin, std::min(count, first_bytes - begin));
      piece.second = view.bytes.second.first(count - piece.first.size());
    } else {
      piece.first = view.bytes.second.subspan(begin - first_bytes, count);
    }
    piece.begin = cursor_;
    piece.end = cursor_ + count;
    cursor_ = piece.end;
    return Transfer::kDone;
  }
  if (handed_out_ == held_count_ && !peek_one()) {
    return is_corrupt_ ? Transfer::kCorruptPeer : Transfer::kBlocked;
  }
  const Message& message = held_[(held_first_ + handed_out_) % held_.size()];
  ++handed_out_;
  piece = {message.bytes, {}, cursor_, message.end_position};
  cursor_ = piece.end;
  return Transfer::kDone;
}

void LinkSource::put_back(const Piece& piece) noexcept {
  cursor_ = piece.begin;
  if (messages_) --handed_out_;
}

bool LinkSource::release(std::uint64_t position) noexcept {
  if (position > cursor_) return false;
  if (stream_) {
    if (position < stream_->done()) return false;
    stream_->consume(position - stream_->done());
    return true;
  }
  // How many messages end there or before.
  std::size_t count = 0;
  std::uint64_t end = messages_->done();
  while (count < handed_out_) {
    const Message& message = held_[(held_first_ + count) % held_.size()];
    if (message.end_position > position) break;
    end = message.end_position;
    ++count;
  }
  if (count == 0) return position <= messages_->done() || position == cursor_;
  messages_->release(held_[(held_first_ + count - 1) % held_.size()]);
  held_first_ = (held_first_ + count) % held_.size();
  held_count_ -= count;
  handed_out_ -= count;
  return end == position || position == cursor_;
}

bool LinkSource::rewind(std::uint64_t position) noexcept {
  if (stream_) {
    if (position < stream_->done()) return false;
    StreamView view;
    const std::uint64_t ahead = position - stream_->done();
    if (ahead != 0) {
      if (ahead > stream_->shape().capacity_bytes) return false;
      if (stream_->try_peek(view, ahead) != Transfer::kDone) return false;
      if (view.bytes.size() < ahead) return false;
      stream_->consume(ahead);
    }
    cursor_ = position;
    return true;
  }
  handed_out_ = 0;
  std::uint64_t at = messages_->done();
  while (at < position) {
    if (handed_out_ == held_count_ && !peek_one()) {
      // Full of what is to be finished: the place is needed.
      if (is_corrupt_ || held_count_ != held_.size()) return false;
      cursor_ = at;
      if (!release(at)) return false;
      continue;
    }
    at = held_[(held_first_ + handed_out_) % held_.size()].end_position;
    ++handed_out_;
  }
  cursor_ = at;
  return at == position && (handed_out_ == 0 || release(position));
}

bool LinkSource::take_abort() noexcept {
  const std::uint64_t before = abort_word();
  if (before <= abort_seen_) return false;
  abort_seen_ = before;
  if (stream_) {
    stream_->skip_aborted();
    if (stream_->done() < before) return false;  // a lie
    cursor_ = std::max(cursor_, before);
  } else {
    std::size_t count = 0;
    while (count < held_count_ &&
           held_[(held_first_ + count) % held_.size()].end_position <= before) {
      ++count;
    }
    doomed_.clear();
    for (std::size_t i = 0; i < count; ++i) {
      doomed_.push_back(held_[(held_first_ + i) % held_.size()].end_position);
    }
    doomed_count_ += count;
    if (count != 0) {
      messages_->release(held_[(held_first_ + count - 1) % held_.size()]);
      held_first_ = (held_first_ + count) % held_.size();
      held_count_ -= count;
      handed_out_ -= std::min(handed_out_, count);
    }
    if (held_count_ == 0) messages_->skip_aborted();
    messages_->obey_commands();
    if (messages_->done() < before) return false;  // a lie
    cursor_ = std::max(cursor_, before);
  }
  aborted_ = before;
  return true;
}

std::uint64_t LinkSource::settle_doomed(std::uint64_t aborted, std::uint64_t arrived) noexcept {
  if (aborted == 0 || aborted != aborted_) return 0;
  const auto count = std::count_if(doomed_.begin(), doomed_.end(),
                                   [&](std::uint64_t end) { return end <= arrived; });
  doomed_.clear();
  return static_cast<std::uint64_t>(count);
}

bool LinkSource::has_more() const noexcept {
  if (has_abort()) return true;
  if (stream_) return stream_->has_bytes(cursor_ - stream_->done() + 1);
  if (handed_out_ < held_count_) return true;
  return held_count_ < held_.size() && messages_->has_message();
}

bool LinkSource::is_at_end() const noexcept {
  // In this order: what was published before closing is seen now.
  return (stream_ ? stream_->is_peer_closed() : messages_->is_finished()) && !has_more();
}

void LinkSource::attach_event(int event_fd) noexcept {
  if (stream_) {
    stream_->attach_event(event_fd);
  } else {
    messages_->attach_event(event_fd);
  }
}

void LinkSource::close() noexcept {
  if (stream_) {
    stream_->close();
  } else {
    messages_->close();
  }
}

}  // namespace slipring::wire

#include "pipelines/wire/link_sink.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/error/check.h"
#include "pipelines/wire/wire_shape.h"

namespace slipring::wire {

Result<LinkSink> LinkSink::attach(const SegmentDirectory& directory, std::string_view name,
                                  MemoryLock memory_lock) noexcept {
  Result<StreamWriter> stream = StreamWriter::attach(directory, name, memory_lock);
  if (stream) {
    if (Status fits = check_wire_shape(stream->shape()); !fits) return fits.error();
    return LinkSink(std::move(stream).value());
  }
  if (stream.error().code != ErrorCode::kVersion) return stream.error();
  Result<LinkWriter> messages = LinkWriter::attach(directory, name, memory_lock);
  if (!messages) return messages.error();
  if (Status fits = check_wire_shape(messages->shape()); !fits) return fits.error();
  return LinkSink(std::move(messages).value());
}

LinkSink::LinkSink(LinkWriter messages) noexcept
    : messages_(std::move(messages)),
      kind_(wire_kind_of(messages_->shape())),
      message_bytes_max_(message_bytes_max_of(messages_->shape())) {}

LinkSink::LinkSink(StreamWriter stream) noexcept : stream_(std::move(stream)) {}

bool LinkSink::takes(WireKind kind, std::uint32_t message_bytes_max) const noexcept {
  if (kind_ == WireKind::kStream || kind == WireKind::kStream) return kind == kind_;
  // A slot is always sent whole.
  if (kind_ == WireKind::kSlots) {
    return kind == WireKind::kSlots && message_bytes_max == message_bytes_max_;
  }
  return message_bytes_max <= message_bytes_max_;
}

Transfer LinkSink::reserve(std::uint32_t bytes) noexcept {
  check(!is_open_, "a message is open already");
  Transfer answer = Transfer::kBlocked;
  if (stream_) {
    StreamParts<std::byte> room;
    answer = stream_->try_reserve(room, bytes);
    if (answer == Transfer::kDone && room.size() < bytes) answer = Transfer::kBlocked;
    place_ = room;
  } else {
    std::span<std::byte> room;
    answer = messages_->try_reserve(bytes, room);
    place_ = {room, {}};
  }
  is_open_ = answer == Transfer::kDone;
  open_bytes_ = bytes;
  return answer;
}

void LinkSink::put(std::uint32_t offset, std::span<const std::byte> part) noexcept {
  check(is_open_ && part.size() <= open_bytes_ && offset <= open_bytes_ - part.size(),
        "bytes beyond the message");
  if (part.empty()) return;
  const std::size_t first_bytes = place_.first.size();
  const std::size_t begin = offset;
  const std::size_t count =
      begin < first_bytes ? std::min(part.size(), first_bytes - begin) : std::size_t{0};
  if (count != 0) std::memcpy(place_.first.data() + begin, part.data(), count);
  if (count == part.size()) return;
  std::memcpy(place_.second.data() + (begin + count - first_bytes), part.data() + count,
              part.size() - count);
}

void LinkSink::commit() noexcept {
  const std::uint64_t after = position_after();
  is_open_ = false;
  if (stream_) {
    stream_->commit(open_bytes_);
  } else {
    messages_->commit(open_bytes_);
  }
  check(position() == after, "a position other than was foretold");
}

void LinkSink::abandon() noexcept {
  if (!is_open_) return;
  is_open_ = false;
  if (messages_) messages_->abandon();
}

bool LinkSink::has_space(std::uint32_t bytes) const noexcept {
  return stream_ ? stream_->has_space(bytes) : messages_->has_space(bytes);
}

std::uint64_t LinkSink::position_after() const noexcept {
  check(is_open_, "no message is open");
  const std::uint64_t position = this->position();
  if (kind_ == WireKind::kStream) return position + open_bytes_;
  if (kind_ == WireKind::kSlots) return position + 1;
  // As core/ring/record_ring.h places a record: behind the last, or at the start of the next lap.
  const std::uint64_t capacity = shape().capacity_bytes;
  const std::uint64_t whole = record_detail::whole_bytes(open_bytes_);
  const std::uint64_t to_end = capacity - (position & (capacity - 1));
  return whole > to_end ? position + to_end + whole : position + whole;
}

std::uint32_t LinkSink::place_bytes_max() const noexcept {
  return stream_ ? static_cast<std::uint32_t>(shape().capacity_bytes) : message_bytes_max_;
}

std::uint64_t LinkSink::capacity() const noexcept {
  return kind_ == WireKind::kSlots ? shape().slot_count * cost_of(kind_, message_bytes_max_)
                                   : shape().capacity_bytes;
}

std::uint64_t LinkSink::credit(std::uint32_t message_bytes_max) const noexcept {
  const std::uint64_t done = stream_ ? stream_->done() : messages_->done();
  const std::uint64_t used = position() - done;
  if (kind_ == WireKind::kStream) return shape().capacity_bytes - used;
  const std::uint64_t longest = cost_of(kind_, message_bytes_max);
  if (kind_ == WireKind::kSlots) return (shape().slot_count - used) * longest;
  // The free bytes wrap round once at most, and then leave out less than one message.
  const std::uint64_t free_bytes = shape().capacity_bytes - used;
  return free_bytes > longest ? free_bytes - longest : 0;
}

void LinkSink::abort_published() noexcept {
  if (stream_) {
    stream_->abort_published();
  } else {
    messages_->abort_published();
  }
}

void LinkSink::attach_event(int event_fd) noexcept {
  if (stream_) {
    stream_->attach_event(event_fd);
  } else {
    messages_->attach_event(event_fd);
  }
}

void LinkSink::close() noexcept {
  if (stream_) {
    stream_->close();
  } else {
    messages_->close();
  }
}

}  // namespace slipring::wire

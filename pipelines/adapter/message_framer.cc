#include "pipelines/adapter/message_framer.h"

#include <algorithm>
#include <cstring>

#include "core/error/check.h"

namespace slipring {
namespace {

constexpr const char* kTooLong = "take a message as long as that";

}  // namespace

MessageFramer::MessageFramer(Framing framing, std::uint64_t max_message_bytes,
                             std::size_t read_bytes) noexcept
    : framing_(framing), max_message_bytes_(max_message_bytes), read_bytes_(read_bytes) {
  check(framing != Framing::kBytes, "bytes without boundaries have no messages");
  check(max_message_bytes <= kMaxFrameBytes, "a cap that no frame can reach");
}

void MessageFramer::move_to(std::size_t capacity) noexcept {
  auto moved = std::make_unique_for_overwrite<std::byte[]>(capacity);
  if (end_ != begin_) std::memcpy(moved.get(), buffer_.get() + begin_, end_ - begin_);
  buffer_ = std::move(moved);
  capacity_ = capacity;
}

std::span<std::byte> MessageFramer::room() noexcept {
  const std::size_t pending = end_ - begin_;
  // Half of what has come at least, so that a long message is moved a few times only.
  const std::size_t wanted = std::max(read_bytes_, pending / 2);
  if (capacity_ < pending + wanted) {
    move_to(pending + wanted);
  } else if (begin_ != 0 && pending != 0) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, pending);
  }
  scanned_ -= begin_;
  begin_ = 0;
  end_ = pending;
  return {buffer_.get() + end_, capacity_ - end_};
}

std::span<const std::byte> MessageFramer::take(std::size_t skip, std::size_t size,
                                               std::size_t behind) noexcept {
  const std::span<const std::byte> message(buffer_.get() + begin_ + skip, size);
  begin_ += skip + size + behind;
  scanned_ = begin_;
  return message;
}

Result<MessageFramer::Cut> MessageFramer::next(std::span<const std::byte>& message) noexcept {
  return framing_ == Framing::kLines ? next_line(message) : next_frame(message);
}

Result<MessageFramer::Cut> MessageFramer::next_line(std::span<const std::byte>& message) noexcept {
  const std::byte* from = buffer_.get() + scanned_;
  const void* feed = scanned_ == end_ ? nullptr : std::memchr(from, '\n', end_ - scanned_);
  const std::size_t size = feed == nullptr
                               ? end_ - begin_
                               : static_cast<std::size_t>(static_cast<const std::byte*>(feed) -
                                                          (buffer_.get() + begin_));
  if (size > max_message_bytes_) {
    return Error{ErrorCode::kDamagedData, 0, kTooLong, size, max_message_bytes_};
  }
  scanned_ = begin_ + size;
  if (feed == nullptr) return Cut::kNeedsMore;
  message = take(0, size, 1);
  return Cut::kMessage;
}

Result<MessageFramer::Cut> MessageFramer::next_frame(std::span<const std::byte>& message) noexcept {
  const std::size_t pending = end_ - begin_;
  if (pending < kFrameHeaderBytes) return Cut::kNeedsMore;
  const std::size_t size = frame_length({buffer_.get() + begin_, kFrameHeaderBytes});
  if (size > max_message_bytes_) {
    return Error{ErrorCode::kDamagedData, 0, kTooLong, size, max_message_bytes_};
  }
  if (pending - kFrameHeaderBytes < size) return Cut::kNeedsMore;
  message = take(kFrameHeaderBytes, size, 0);
  return Cut::kMessage;
}

Result<MessageFramer::Cut> MessageFramer::finish(std::span<const std::byte>& message) noexcept {
  const std::size_t pending = end_ - begin_;
  if (pending == 0) return Cut::kNeedsMore;
  if (framing_ == Framing::kLines) {
    message = take(0, pending, 0);
    return Cut::kMessage;
  }
  const std::size_t promised =
      pending < kFrameHeaderBytes
          ? kFrameHeaderBytes
          : kFrameHeaderBytes + frame_length({buffer_.get() + begin_, kFrameHeaderBytes});
  return Error{ErrorCode::kDamagedData, 0, "read a frame to its end", pending, promised};
}

void MessageFramer::shrink() noexcept {
  const std::size_t pending = end_ - begin_;
  if (capacity_ == pending) return;
  if (pending == 0) {
    buffer_.reset();
    capacity_ = 0;
  } else {
    move_to(pending);
  }
  scanned_ -= begin_;
  begin_ = 0;
  end_ = pending;
}

}  // namespace slipring

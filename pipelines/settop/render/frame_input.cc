#include "pipelines/settop/render/frame_input.h"

#include <cstring>

#include "core/error/check.h"

namespace slipring::settop {

Look FrameInput::look() {
  // One message is held at most, and it is the oldest: an abort that is not finished is about it.
  if (held_ != Look::kNothing && reader_.has_abort()) {
    ++counts_.aborted_count;
    finish();
  }
  while (held_ == Look::kNothing) {
    switch (reader_.try_peek(message_)) {
      case Transfer::kBlocked:
        return Look::kNothing;
      case Transfer::kCorruptPeer:
        return Look::kCorruptPeer;
      case Transfer::kDone:
        break;
    }
    held_ = examine();
    if (held_ == Look::kNothing) reader_.release(message_);
  }
  return held_;
}

// Nothing: the message is of no use.
Look FrameInput::examine() {
  if (message_.bytes.size() < sizeof record_) {
    ++counts_.invalid_count;
    return Look::kNothing;
  }
  std::memcpy(&record_, message_.bytes.data(), sizeof record_);
  const bool is_frame = record_.event == FrameEvent::kFrame;
  if (message_.aborted) {
    ++counts_.aborted_count;
    if (is_frame) reader_.give_back(handle());
    return Look::kNothing;
  }
  if (record_.event == FrameEvent::kStreamStart) return Look::kEvent;
  if (is_frame && reader_.pool()->holds(handle())) return Look::kFrame;
  if (is_frame && message_.redelivered) {
    ++counts_.finished_count;
  } else {
    ++counts_.invalid_count;
  }
  return Look::kNothing;
}

std::span<const std::byte> FrameInput::buffer() const noexcept {
  check(held_ == Look::kFrame, "a frame is at hand");
  return reader_.pool()->bytes(handle());
}

void FrameInput::finish() {
  check(held_ != Look::kNothing, "something is at hand");
  if (held_ == Look::kFrame) reader_.give_back(handle());
  reader_.release(message_);
  held_ = Look::kNothing;
}

}  // namespace slipring::settop

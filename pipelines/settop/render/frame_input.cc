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

// Nothing: the message is of no use, and a buffer that came with it is given back.
Look FrameInput::examine() {
  if (message_.bytes.size() < sizeof record_) {
    ++counts_.invalid_count;
    return Look::kNothing;
  }
  std::memcpy(&record_, message_.bytes.data(), sizeof record_);
  const bool is_held = reader_.pool()->holds(handle());
  if (message_.aborted) {
    ++counts_.aborted_count;
  } else if (record_.event == FrameEvent::kStreamStart) {
    return Look::kEvent;
  } else if (record_.event == FrameEvent::kFrame && is_held) {
    return Look::kFrame;
  } else if (record_.event == FrameEvent::kFrame && message_.redelivered) {
    ++counts_.finished_count;
  } else {
    ++counts_.invalid_count;
  }
  if (is_held) reader_.give_back(handle());
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

// Frame buffers for tests: memory of the process, and a list of what is held.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <set>
#include <vector>

#include "pipelines/settop/decode/frame_buffers.h"

namespace slipring::settop {

// Buffers of one size.  A released buffer is given out again, freshly scribbled over, so that a
// frame read after its release would show.
class HeapBuffers final : public FrameBuffers {
 public:
  explicit HeapBuffers(std::size_t size_bytes) : size_bytes_(size_bytes) {}

  Result<FrameBuffer> acquire(std::size_t size_bytes) override {
    if (interrupted) return Error{.code = ErrorCode::kInterrupted, .doing = "waiting for a buffer"};
    if (size_bytes > size_bytes_) {
      return Error{.code = ErrorCode::kNoSpace,
                   .doing = "acquiring a buffer",
                   .found = size_bytes_,
                   .wanted = size_bytes};
    }
    std::uint64_t token = 0;
    while (held.contains(token)) ++token;
    if (token == memory_.size()) {
      memory_.emplace_back(static_cast<std::byte*>(std::aligned_alloc(64, size_bytes_)));
    }
    std::fill_n(memory_[token].get(), size_bytes_, std::byte{0xa5});
    held.insert(token);
    return FrameBuffer{.data = memory_[token].get(), .size_bytes = size_bytes_, .token = token};
  }

  void release(std::uint64_t token) override { CHECK(held.erase(token) == 1); }

  [[nodiscard]] const std::byte* data(std::uint64_t token) const { return memory_[token].get(); }
  [[nodiscard]] std::size_t size_bytes() const { return size_bytes_; }

  std::set<std::uint64_t> held;
  bool interrupted = false;

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };

  std::size_t size_bytes_;
  std::vector<std::unique_ptr<std::byte, Free>> memory_;
};

}  // namespace slipring::settop

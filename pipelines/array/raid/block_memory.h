// Memory for blocks, aligned for vector instructions and for direct I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

#include "core/error/check.h"
#include "pipelines/array/raid/raid_layout.h"

namespace slipring::array {

// Zeroed when made.  Move-only.
class BlockMemory {
 public:
  BlockMemory() = default;
  explicit BlockMemory(std::size_t size_bytes)
      : data_(static_cast<std::byte*>(::operator new(size_bytes, kAlignment))),
        size_bytes_(size_bytes) {
    std::memset(data_.get(), 0, size_bytes);
  }

  [[nodiscard]] std::byte* data() const noexcept { return data_.get(); }
  [[nodiscard]] std::size_t size_bytes() const noexcept { return size_bytes_; }
  // Requires: the block lies within.
  [[nodiscard]] std::byte* block(std::size_t index) const noexcept {
    check((index + 1) * kBlockBytes <= size_bytes_, "a block beyond its memory");
    return data_.get() + index * kBlockBytes;
  }
  // At least so large; what was in it is lost when it grows.
  void need(std::size_t size_bytes) {
    if (size_bytes > size_bytes_) *this = BlockMemory(size_bytes);
  }

 private:
  static constexpr std::align_val_t kAlignment{kBlockBytes};
  struct Free {
    void operator()(std::byte* data) const noexcept { ::operator delete(data, kAlignment); }
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t size_bytes_ = 0;
};

}  // namespace slipring::array

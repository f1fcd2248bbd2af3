// Memory for a ring under test: zeroed, on a line of its own, with guards on both sides that show
// stray writes.  Under AddressSanitizer the guards are poisoned, so that stray reads show as well.
#pragma once

#include <sanitizer/asan_interface.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>

#include "core/cpu/cache_line.h"

namespace slipring {

class GuardedBytes {
 public:
  explicit GuardedBytes(std::uint64_t size_bytes)
      : size_bytes_(static_cast<std::size_t>(size_bytes)),
        block_(static_cast<std::byte*>(
            ::operator new (size_bytes_ + 2 * kGuardBytes, std::align_val_t{kAbiLineBytes}))) {
    std::memset(block_.get(), 0, size_bytes_ + 2 * kGuardBytes);
    std::ranges::fill(front(), kMark);
    std::ranges::fill(back(), kMark);
    poison_guards(true);
  }
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;
  ~GuardedBytes() { poison_guards(false); }

  [[nodiscard]] std::byte* data() const { return block_.get() + kGuardBytes; }
  template <typename T>
  [[nodiscard]] T* as() const {
    return reinterpret_cast<T*>(data());
  }
  [[nodiscard]] bool contains(std::span<const std::byte> part) const {
    return part.data() >= data() && part.data() + part.size() <= data() + size_bytes_;
  }

  // Whether both guards are as they were.
  [[nodiscard]] bool is_intact() {
    const auto is_mark = [](std::byte byte) { return byte == kMark; };
    poison_guards(false);
    const bool intact =
        std::ranges::all_of(front(), is_mark) && std::ranges::all_of(back(), is_mark);
    poison_guards(true);
    return intact;
  }

 private:
  static constexpr std::size_t kGuardBytes = 2 * kAbiLineBytes;
  static constexpr std::byte kMark{0xa5};

  struct Free {
    void operator()(std::byte* block) const {
      ::operator delete (block, std::align_val_t{kAbiLineBytes});
    }
  };
  [[nodiscard]] std::span<std::byte> front() const { return {block_.get(), kGuardBytes}; }
  [[nodiscard]] std::span<std::byte> back() const { return {data() + size_bytes_, kGuardBytes}; }

  // Nothing happens without the sanitizer.
  void poison_guards(bool on) const {
    for (const std::span<std::byte> guard : {front(), back()}) {
      if (on) {
        ASAN_POISON_MEMORY_REGION(guard.data(), guard.size());
      } else {
        ASAN_UNPOISON_MEMORY_REGION(guard.data(), guard.size());
      }
    }
  }

  std::size_t size_bytes_;
  std::unique_ptr<std::byte, Free> block_;
};

}  // namespace slipring

// Zeroed, page-aligned bytes of private memory, for benchmarks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

namespace slipring {

class HeapBytes {
 public:
  explicit HeapBytes(std::uint64_t size_bytes)
      : bytes_(static_cast<std::byte*>(
            ::operator new (static_cast<std::size_t>(size_bytes), std::align_val_t{4096}))) {
    std::memset(bytes_.get(), 0, static_cast<std::size_t>(size_bytes));
  }
  [[nodiscard]] std::byte* data() const { return bytes_.get(); }

 private:
  struct Free {
    void operator()(std::byte* bytes) const { ::operator delete (bytes, std::align_val_t{4096}); }
  };
  std::unique_ptr<std::byte, Free> bytes_;
};

}  // namespace slipring

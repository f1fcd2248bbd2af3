// Shared memory for an end under attack: zeroed, of its exact size, ending at a page that nobody
// may touch; what lies before it on its page is poisoned where AddressSanitizer is built in. Unlike
// heap blocks it stops a stray read in optimised builds, too.
#pragma once

#include <sanitizer/asan_interface.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <span>

namespace slipring::fuzz {

class GuardedBlock {
 public:
  // Requires: a multiple of 64.
  explicit GuardedBlock(std::size_t size_bytes) : size_bytes_(size_bytes) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t used = (size_bytes + page - 1) / page * page;
    mapped_bytes_ = used + 2 * page;
    void* address = ::mmap(nullptr, mapped_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) std::abort();
    base_ = static_cast<std::byte*>(address);
    if (::mprotect(base_ + page, used, PROT_READ | PROT_WRITE) != 0) std::abort();
    data_ = base_ + page + used - size_bytes;
    ASAN_POISON_MEMORY_REGION(base_ + page, used - size_bytes);
  }
  GuardedBlock(const GuardedBlock&) = delete;
  GuardedBlock& operator=(const GuardedBlock&) = delete;
  ~GuardedBlock() {
    ASAN_UNPOISON_MEMORY_REGION(base_, mapped_bytes_);
    ::munmap(base_, mapped_bytes_);
  }

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t size_bytes() const { return size_bytes_; }
  [[nodiscard]] std::span<std::byte> bytes() const { return {data_, size_bytes_}; }
  [[nodiscard]] std::size_t word_count() const { return size_bytes_ / 8; }
  [[nodiscard]] std::atomic<std::uint64_t>& word(std::size_t index) const {
    return reinterpret_cast<std::atomic<std::uint64_t>*>(data_)[index];
  }
  template <typename T>
  [[nodiscard]] T& as(std::size_t offset_bytes = 0) const {
    return *reinterpret_cast<T*>(data_ + offset_bytes);
  }
  [[nodiscard]] bool contains(std::span<const std::byte> part) const {
    const std::less_equal<> not_after;
    return not_after(data_, part.data()) &&
           not_after(part.data() + part.size(), data_ + size_bytes_);
  }

 private:
  std::size_t size_bytes_;
  std::size_t mapped_bytes_ = 0;
  std::byte* base_ = nullptr;
  std::byte* data_ = nullptr;
};

}  // namespace slipring::fuzz

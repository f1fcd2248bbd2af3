#include "tools/bench/arena.h"

#include <sys/mman.h>

#include "core/error/check.h"

namespace slipring::bench {

Arena::Arena(std::size_t size_bytes) : size_bytes_(size_bytes) {
  void* const mapped = mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check(mapped != MAP_FAILED, "no memory for a measurement");
  data_ = static_cast<std::byte*>(mapped);
}

std::byte* Arena::take(std::size_t size_bytes, std::size_t alignment) {
  used_ = (used_ + alignment - 1) & ~(alignment - 1);
  check(size_bytes <= size_bytes_ - used_, "a measurement takes more memory than it asked for");
  std::byte* const bytes = data_ + used_;
  used_ += size_bytes;
  // Faulted in here, and not while the clock runs.
  constexpr std::size_t kPageBytes = 4096;
  for (std::size_t at = 0; at < size_bytes; at += kPageBytes) bytes[at] = std::byte{0};
  if (size_bytes != 0) bytes[size_bytes - 1] = std::byte{0};
  return bytes;
}

Arena::~Arena() {
  munmap(data_, size_bytes_);
}

}  // namespace slipring::bench

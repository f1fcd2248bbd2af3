// What the kernel really gave a range of this process's memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/error/result.h"

namespace slipring {

struct Residency {
  std::uint64_t resident_bytes = 0;
  std::uint64_t huge_bytes = 0;    // of which mapped by huge pages, now
  std::uint64_t locked_bytes = 0;  // of which mlock holds
};

// From /proc/self/smaps, which takes the kernel some microseconds a mapping: for attach and for
// tools.  Errors: kNotFound, kPermission, kSystem (no /proc).
Result<Residency> residency_of(const void* data, std::size_t size_bytes) noexcept;

}  // namespace slipring

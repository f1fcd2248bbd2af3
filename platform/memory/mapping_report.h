// What became of the wishes that came with a mapping.
#pragma once

#include <cstdint>
#include <string>

#include "platform/memory/numa.h"

namespace slipring {

enum class HugePages : std::uint8_t {
  kNotAsked,
  kAll,
  kPartly,  // what does not fill a huge page stays small, or the kernel ran out of them
  kNone,
};

enum class Prefault : std::uint8_t {
  kNotDone,
  kPopulated,  // in one call
  kTouched,    // page by page: Linux before 5.14, or a filter
};

struct MappingReport {
  std::uint64_t size_bytes = 0;
  std::uint64_t page_bytes = 0;  // of the file's system: larger on hugetlbfs
  bool is_locked = false;
  int lock_errno = 0;  // why not although it was tried
  Prefault prefault = Prefault::kNotDone;
  HugePages huge_pages = HugePages::kNotAsked;
  std::uint64_t huge_bytes = 0;  // in huge pages right after map; the kernel may split them later
  int huge_errno = 0;            // what merging the small ones ended with
  NumaReport numa = {};
};

// One line for people: "8 MiB: locked; 8 MiB in huge pages; node 0".  Wishes that were not
// expressed are left out.
[[nodiscard]] std::string describe(const MappingReport& report);

}  // namespace slipring

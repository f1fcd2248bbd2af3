// Memory without a name, for the rings of one process and of those that it hands the descriptor to.
#pragma once

#include <cstdint>

#include "core/error/result.h"
#include "platform/process/descriptor.h"

namespace slipring {

struct MemoryFile {
  Descriptor descriptor;         // read-write, close-on-exec, not executable
  std::uint64_t size_bytes = 0;  // at least what was asked for, in whole pages of its kind
  bool is_huge = false;          // of the pool of huge pages
  int huge_errno = 0;            // why not although it was wished for; ordinary pages are used,
                                 // which Mapping can still merge

  // Read-only, through /proc: what a reader maps, and cannot raise.  Errors: kPermission, kSystem.
  [[nodiscard]] Result<Descriptor> open_read_only() const noexcept;
};

// A memfd with its memory taken, all of it or the first `taken_bytes`; it reads as zeros.
// `shown_name`, of at most 200 bytes, is what /proc shows of it to people.  Errors:
// kInvalidArgument (size 0 or beyond 2^62), kNoSpace (wanted = size_bytes), kUnsupported (no
// memfd), kSystem.
Result<MemoryFile> make_memory_file(std::uint64_t size_bytes, bool wants_huge_pages,
                                    std::uint64_t taken_bytes = UINT64_MAX,
                                    const char* shown_name = "slipring") noexcept;

}  // namespace slipring

// A range of a segment in this process's memory.
//
// A region has one writing role: its writer maps it read-write, everybody else read-only, so that a
// stray store faults in the process that made it.  A read-only mapping must come from a descriptor
// opened O_RDONLY, because then mprotect cannot raise it either; another descriptor is refused.
//
// Mapped means ready: not inherited by fork (a forked child keeps a mapping but not the certificate
// that goes with it), left out of core dumps unless asked, pre-faulted, and locked by policy.
// Nothing is allocated or faulted in afterwards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/error/result.h"

namespace slipring {

enum class Access : std::uint8_t { kReadOnly, kReadWrite };

enum class MemoryLock : std::uint8_t {
  kRequire,  // mlock or fail with kLockLimit
  kTry,      // mlock; a refusal is reported by Mapping::lock_errno()
  kOff,
};

enum class HugePages : std::uint8_t {
  kNotAsked,
  kAdvised,      // the kernel was asked, and its policy for shared memory allows it
  kUnavailable,  // the kernel's policy for shared memory forbids it; small pages are used
};

struct MappingOptions {
  Access access = Access::kReadOnly;
  MemoryLock memory_lock = MemoryLock::kTry;
  bool huge_pages = false;
  bool in_core_dump = false;
};

// Unmaps (and thereby unlocks) what it holds.  Move-only; the address never changes.
class Mapping {
 public:
  // Maps [offset_bytes, offset_bytes + size_bytes) of `fd`, which may be closed afterwards.
  // Errors: kInvalidArgument (offset not page-aligned, size 0, read-only from a writable
  // descriptor), kCorruptPeer (the file ends before the range: found, wanted in bytes), kLockLimit
  // (found = RLIMIT_MEMLOCK, wanted = what the process would hold locked, both in bytes), kNoSpace,
  // kPermission, kSystem.
  static Result<Mapping> map(int fd, std::uint64_t offset_bytes, std::uint64_t size_bytes,
                             const MappingOptions& options) noexcept;

  Mapping() noexcept = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  [[nodiscard]] bool is_mapped() const noexcept { return data_ != nullptr; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_bytes_}; }
  // Requires: mapped kReadWrite.
  [[nodiscard]] std::span<std::byte> writable_bytes() const noexcept;
  [[nodiscard]] std::size_t size_bytes() const noexcept { return size_bytes_; }

  [[nodiscard]] bool is_locked() const noexcept { return locked_; }
  // Why the memory is not locked although kTry asked for it; 0 if it is, or if nobody asked.
  [[nodiscard]] int lock_errno() const noexcept { return lock_errno_; }
  [[nodiscard]] HugePages huge_pages() const noexcept { return huge_pages_; }

 private:
  void unmap() noexcept;

  std::byte* data_ = nullptr;
  std::size_t size_bytes_ = 0;
  int lock_errno_ = 0;
  Access access_ = Access::kReadOnly;
  HugePages huge_pages_ = HugePages::kNotAsked;
  bool locked_ = false;
};

[[nodiscard]] std::size_t page_size_bytes() noexcept;

// What this process may lock.  The runner asks before it starts anything.
struct MemlockBudget {
  std::uint64_t limit_bytes = 0;   // RLIMIT_MEMLOCK (soft); UINT64_MAX means unlimited
  std::uint64_t in_use_bytes = 0;  // VmLck
  bool has_ipc_lock = false;       // CAP_IPC_LOCK: the limit does not apply

  [[nodiscard]] bool allows(std::uint64_t more_bytes) const noexcept {
    if (has_ipc_lock || limit_bytes == UINT64_MAX) return true;
    return in_use_bytes <= limit_bytes && more_bytes <= limit_bytes - in_use_bytes;
  }
};

// Errors: kSystem (no /proc).
Result<MemlockBudget> memlock_budget() noexcept;

}  // namespace slipring

// A range of a segment in this process's memory.
//
// A region has one writing role: its writer maps it read-write, everybody else read-only, so that a
// stray store faults in the process that made it.  A read-only mapping must come from a descriptor
// opened O_RDONLY, or of memory that is sealed against future writing, because then mprotect cannot
// raise it either; another descriptor is refused.
//
// Mapped means ready: not inherited by fork (a forked child keeps a mapping but not the certificate
// that goes with it), left out of core dumps unless asked, pre-faulted, and locked by policy.
// Nothing is allocated or faulted in afterwards.
//
// Locking, huge pages and placement are wishes that a machine may not grant.  MappingReport says
// what became of each, as the kernel shows it afterwards and not as it was asked for.
//
// Huge pages come in two ways.  On hugetlbfs (a pool that the machine's owner reserves) there are
// no others: ranges begin at multiples of their size.  Elsewhere the pages of a range are merged
// into huge ones at map (MADV_COLLAPSE, Linux 6.1, which no policy of the machine but "deny"
// forbids); before that the kernel's policy for the file system decides.  A huge page must lie
// within the range, at a multiple of its size in the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/error/result.h"
#include "platform/memory/mapping_report.h"
#include "platform/memory/numa.h"
#include "platform/memory/page_size.h"

namespace slipring {

enum class Access : std::uint8_t { kReadOnly, kReadWrite };

enum class MemoryLock : std::uint8_t {
  kRequire,  // mlock or fail with kLockLimit
  kTry,      // mlock; a refusal is reported by Mapping::lock_errno()
  kOff,
};

struct MappingOptions {
  Access access = Access::kReadOnly;
  MemoryLock memory_lock = MemoryLock::kTry;
  bool huge_pages = false;
  bool in_core_dump = false;
  bool prefaults = true;  // otherwise pages come as they are touched
  NumaRequest numa = {};
};

// Unmaps (and thereby unlocks) what it holds.  Move-only; the address never changes.
class Mapping {
 public:
  // Maps [offset_bytes, offset_bytes + size_bytes) of `fd`, which may be closed afterwards.
  // Errors: kInvalidArgument (offset not a multiple of the file's page size, which is `wanted`;
  // size 0; read-only from a writable descriptor), kCorruptPeer (the file ends before the range:
  // found, wanted in bytes), kLockLimit (found = RLIMIT_MEMLOCK, wanted = what the process would
  // hold locked, both in bytes), kNoSpace (memory, or a 32-bit process's addresses), kPermission,
  // kSystem.  Huge pages and placement never fail: see report().
  static Result<Mapping> map(int fd, std::uint64_t offset_bytes, std::uint64_t size_bytes,
                             const MappingOptions& options) noexcept;

  Mapping() noexcept = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  // Puts the memory of `newer` where ours is, in one step: every pointer into this mapping now
  // shows the newer memory at the same offset, and what was here is unmapped.  `newer` is empty
  // afterwards.  For the owner of the pointers to call; other threads' loads see one or the other.
  // Requires: both are mapped, as large, with the same access.  Errors: kNoSpace, kSystem, and
  // nothing has changed.
  Status show_instead(Mapping& newer) noexcept;

  [[nodiscard]] bool is_mapped() const noexcept { return data_ != nullptr; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_bytes_}; }
  // Requires: mapped kReadWrite.
  [[nodiscard]] std::span<std::byte> writable_bytes() const noexcept;
  [[nodiscard]] std::size_t size_bytes() const noexcept { return size_bytes_; }

  [[nodiscard]] bool is_locked() const noexcept { return report_.is_locked; }
  // Why the memory is not locked although kTry asked for it; 0 if it is, or if nobody asked.
  [[nodiscard]] int lock_errno() const noexcept { return report_.lock_errno; }
  [[nodiscard]] HugePages huge_pages() const noexcept { return report_.huge_pages; }
  // What became of each wish, as seen at map.
  [[nodiscard]] const MappingReport& report() const noexcept { return report_; }

 private:
  Status make_ready(const MappingOptions& options) noexcept;
  void unmap() noexcept;

  std::byte* data_ = nullptr;
  std::size_t size_bytes_ = 0;
  std::size_t mapped_bytes_ = 0;  // whole pages of the file
  Access access_ = Access::kReadOnly;
  MappingReport report_;
};

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

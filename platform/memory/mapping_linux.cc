#include "platform/memory/mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "core/error/check.h"
#include "platform/process/proc_file.h"

namespace slipring {

namespace {

constexpr int kCapIpcLockBit = 14;  // linux/capability.h: CAP_IPC_LOCK

std::uint64_t whole_pages(std::uint64_t size_bytes) noexcept {
  const std::uint64_t mask = page_size_bytes() - 1;
  return (size_bytes + mask) & ~mask;
}

Status judge_range(int fd, std::uint64_t offset_bytes, std::uint64_t size_bytes,
                   Access access) noexcept {
  if (size_bytes == 0 || size_bytes > static_cast<std::uint64_t>(PTRDIFF_MAX)) {
    return Error{ErrorCode::kInvalidArgument, 0, "map a range of this size", size_bytes};
  }
  if (offset_bytes % page_size_bytes() != 0) {
    return Error{ErrorCode::kInvalidArgument, 0, "map a range that begins inside a page",
                 offset_bytes, page_size_bytes()};
  }
  struct stat found = {};
  if (::fstat(fd, &found) != 0) return Error{ErrorCode::kSystem, errno, "look at a segment"};
  const auto file_size = static_cast<std::uint64_t>(found.st_size);
  if (offset_bytes > file_size || size_bytes > file_size - offset_bytes) {
    return Error{ErrorCode::kCorruptPeer, 0, "map a range beyond the end of the segment", file_size,
                 offset_bytes + size_bytes};
  }
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return Error{ErrorCode::kSystem, errno, "look at a segment's descriptor"};
  if (access == Access::kReadOnly && (flags & O_ACCMODE) != O_RDONLY) {
    return Error{ErrorCode::kInvalidArgument, 0,
                 "map read-only from a writable descriptor, which mprotect could raise"};
  }
  return {};
}

// Kernels before 5.14: a read fault is enough, since pages of shared memory that may be written are
// mapped writable at once.
void touch_every_page(const std::byte* data, std::size_t size_bytes) noexcept {
  for (std::size_t at = 0; at < size_bytes; at += page_size_bytes()) {
    // relaxed: the value is of no interest; an atomic load is one that the compiler must perform.
    static_cast<void>(
        __atomic_load_n(reinterpret_cast<const unsigned char*>(data + at), __ATOMIC_RELAXED));
  }
}

Status prefault(std::byte* data, std::size_t size_bytes, Access access) noexcept {
  const int advice = access == Access::kReadWrite ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
  while (::madvise(data, size_bytes, advice) != 0) {
    switch (errno) {
      case EINTR:
      case EAGAIN:
        continue;
      case EINVAL:
        touch_every_page(data, size_bytes);
        return {};
      case EFAULT:
        return Error{ErrorCode::kNoSpace, EFAULT, "fault in a segment whose memory is missing"};
      default:
        return Error{ErrorCode::kSystem, errno, "fault in a segment"};
    }
  }
  return {};
}

bool shared_huge_pages_allowed() noexcept {
  Result<std::string> policy = read_proc_file("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
  if (!policy.ok()) return false;
  const std::string_view chosen = bracketed_word(*policy);
  return chosen == "always" || chosen == "within_size" || chosen == "advise" || chosen == "force";
}

HugePages advise_huge_pages(std::byte* data, std::size_t size_bytes) noexcept {
  if (!shared_huge_pages_allowed()) return HugePages::kUnavailable;
  if (::madvise(data, size_bytes, MADV_HUGEPAGE) != 0) return HugePages::kUnavailable;
  return HugePages::kAdvised;
}

Error lock_refused(int os_errno, std::uint64_t size_bytes) noexcept {
  Error error{ErrorCode::kSystem, os_errno, "lock a segment in memory"};
  Result<MemlockBudget> budget = memlock_budget();
  if (!budget.ok()) return error;
  const std::uint64_t need = whole_pages(size_bytes);
  if (os_errno != EPERM && budget->allows(need)) return error;
  error.code = ErrorCode::kLockLimit;
  error.doing =
      "lock a segment in memory (RLIMIT_MEMLOCK; raise it with ulimit -l, LimitMEMLOCK= or "
      "limits.conf, or grant CAP_IPC_LOCK)";
  error.found = budget->limit_bytes;
  error.wanted = budget->in_use_bytes + need;
  return error;
}

}  // namespace

std::size_t page_size_bytes() noexcept {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

Result<Mapping> Mapping::map(int fd, std::uint64_t offset_bytes, std::uint64_t size_bytes,
                             const MappingOptions& options) noexcept {
  if (Status judged = judge_range(fd, offset_bytes, size_bytes, options.access); !judged.ok()) {
    return judged.error();
  }
  const int protection = options.access == Access::kReadWrite ? PROT_READ | PROT_WRITE : PROT_READ;
  void* address = ::mmap(nullptr, static_cast<std::size_t>(size_bytes), protection, MAP_SHARED, fd,
                         static_cast<off_t>(offset_bytes));
  if (address == MAP_FAILED) {
    const ErrorCode code = errno == ENOMEM                     ? ErrorCode::kNoSpace
                           : errno == EACCES || errno == EPERM ? ErrorCode::kPermission
                                                               : ErrorCode::kSystem;
    return Error{code, errno, "map a segment"};
  }
  Mapping mapping;  // From here on an early return unmaps.
  mapping.data_ = static_cast<std::byte*>(address);
  mapping.size_bytes_ = static_cast<std::size_t>(size_bytes);
  mapping.access_ = options.access;

  if (::madvise(address, mapping.size_bytes_, MADV_DONTFORK) != 0) {
    return Error{ErrorCode::kSystem, errno, "keep a segment out of forked children"};
  }
  if (!options.in_core_dump && ::madvise(address, mapping.size_bytes_, MADV_DONTDUMP) != 0) {
    return Error{ErrorCode::kSystem, errno, "keep a segment out of core dumps"};
  }
  if (options.huge_pages) {
    mapping.huge_pages_ = advise_huge_pages(mapping.data_, mapping.size_bytes_);
  }
  if (Status ready = prefault(mapping.data_, mapping.size_bytes_, options.access); !ready.ok()) {
    return ready.error();
  }
  if (options.memory_lock != MemoryLock::kOff) {
    // Not mlock(): the sanitizers' one does nothing and says that it did.
    mapping.locked_ = ::syscall(SYS_mlock, address, mapping.size_bytes_) == 0;
    if (!mapping.locked_) {
      mapping.lock_errno_ = errno;
      if (options.memory_lock == MemoryLock::kRequire) {
        return lock_refused(mapping.lock_errno_, size_bytes);
      }
    }
  }
  return mapping;
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)),
      lock_errno_(other.lock_errno_),
      access_(other.access_),
      huge_pages_(other.huge_pages_),
      locked_(other.locked_) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    unmap();
    data_ = std::exchange(other.data_, nullptr);
    size_bytes_ = std::exchange(other.size_bytes_, 0);
    lock_errno_ = other.lock_errno_;
    access_ = other.access_;
    huge_pages_ = other.huge_pages_;
    locked_ = other.locked_;
  }
  return *this;
}

Mapping::~Mapping() {
  unmap();
}

std::span<std::byte> Mapping::writable_bytes() const noexcept {
  check(access_ == Access::kReadWrite, "writable_bytes() of a read-only mapping");
  return {data_, size_bytes_};
}

void Mapping::unmap() noexcept {
  if (data_ == nullptr) return;
  check(::munmap(data_, size_bytes_) == 0, "munmap of our own mapping");
  data_ = nullptr;
  size_bytes_ = 0;
}

Result<MemlockBudget> memlock_budget() noexcept {
  struct rlimit limit = {};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) {
    return Error{ErrorCode::kSystem, errno, "read RLIMIT_MEMLOCK"};
  }
  Result<std::string> status = read_proc_file("/proc/self/status");
  if (!status.ok()) return status.error();
  MemlockBudget budget;
  budget.limit_bytes = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
  if (const auto locked = proc_field(*status, "VmLck")) {
    budget.in_use_bytes = leading_number(*locked).value_or(0) * 1024;
  }
  if (const auto capabilities = proc_field(*status, "CapEff")) {
    budget.has_ipc_lock =
        ((leading_number(*capabilities, 16).value_or(0) >> kCapIpcLockBit) & 1) != 0;
  }
  return budget;
}

}  // namespace slipring

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
#include "platform/memory/residency.h"
#include "platform/process/proc_file.h"

namespace slipring {

namespace {

static_assert(sizeof(off_t) == 8, "32-bit systems must be asked for 64-bit offsets");

constexpr int kCapIpcLockBit = 14;   // linux/capability.h: CAP_IPC_LOCK
constexpr int kAdviseCollapse = 25;  // MADV_COLLAPSE, newer than some headers
constexpr int kAgainMax = 8;         // times to try what "try again" answers

std::uint64_t round_up(std::uint64_t size_bytes, std::uint64_t page_bytes) noexcept {
  return (size_bytes + page_bytes - 1) / page_bytes * page_bytes;
}

// Whether the kernel refuses every new way to write to the file, mprotect() included.
bool is_write_sealed(int fd) noexcept {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  return seals > 0 && (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0;
}

Status judge_range(int fd, std::uint64_t offset_bytes, std::uint64_t size_bytes,
                   std::uint64_t page_bytes, Access access) noexcept {
  if (size_bytes == 0 || size_bytes > static_cast<std::uint64_t>(INT64_MAX)) {
    return Error{ErrorCode::kInvalidArgument, 0, "map a range of this size", size_bytes};
  }
  // Room for the rounding and aligning, too.
  constexpr std::uint64_t kAddressable = PTRDIFF_MAX / 2;
  if (size_bytes > kAddressable) {
    return Error{ErrorCode::kNoSpace, ENOMEM,
                 "map a range that is larger than this process's addresses (a 64-bit process has "
                 "more)",
                 kAddressable, size_bytes};
  }
  if (offset_bytes % page_bytes != 0) {
    return Error{ErrorCode::kInvalidArgument, 0, "map a range that begins inside a page",
                 offset_bytes, page_bytes};
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
  if (access == Access::kReadOnly && (flags & O_ACCMODE) != O_RDONLY && !is_write_sealed(fd)) {
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

Status prefault(std::byte* data, std::size_t size_bytes, Access access, Prefault& report) noexcept {
  const int advice = access == Access::kReadWrite ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
  report = Prefault::kPopulated;
  int refusal_count = 0;
  while (::madvise(data, size_bytes, advice) != 0) {
    switch (errno) {
      case EINTR:
        continue;
      case EAGAIN:  // short of something just then; for how long, nobody says
        if (++refusal_count < kAgainMax) continue;
        return Error{ErrorCode::kSystem, EAGAIN, "fault in a segment"};
      case EINVAL:  // Linux before 5.14
      case ENOSYS:  // a filter's answers
      case EPERM:
        touch_every_page(data, size_bytes);
        report = Prefault::kTouched;
        return {};
      case EFAULT:
        return Error{ErrorCode::kNoSpace, EFAULT, "fault in a segment whose memory is missing"};
      default:
        return Error{ErrorCode::kSystem, errno, "fault in a segment"};
    }
  }
  return {};
}

// Taking a part out of what the kernel has joined needs memory.  Without any, the range stays as it
// is, unused, until the process ends; anything else is a bug of ours.
void unmap_or_leave(void* data, std::size_t size_bytes) noexcept {
  check(::munmap(data, size_bytes) == 0 || errno == ENOMEM, "munmap of our own mapping");
}

// Where huge pages can lie: the address and the offset are alike modulo their size.
void* map_aligned(int fd, std::uint64_t offset_bytes, std::size_t mapped_bytes, int protection,
                  std::size_t huge_bytes) noexcept {
  const std::size_t room_bytes = mapped_bytes + huge_bytes;
  void* room =
      ::mmap(nullptr, room_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return MAP_FAILED;
  const auto begin = reinterpret_cast<std::uintptr_t>(room);
  const auto phase = static_cast<std::size_t>(offset_bytes % huge_bytes);
  const std::size_t skip = (huge_bytes + phase - begin % huge_bytes) % huge_bytes;
  auto* wanted = static_cast<std::byte*>(room) + skip;
  void* address = ::mmap(wanted, mapped_bytes, protection, MAP_SHARED | MAP_FIXED, fd,
                         static_cast<off_t>(offset_bytes));
  const int failed = errno;
  const bool is_mapped = address != MAP_FAILED;
  if (!is_mapped) {
    unmap_or_leave(room, room_bytes);
    errno = failed;
    return MAP_FAILED;
  }
  if (skip != 0) unmap_or_leave(room, skip);
  const std::size_t rest = room_bytes - skip - mapped_bytes;
  if (rest != 0) unmap_or_leave(wanted + mapped_bytes, rest);
  return address;
}

// Merges the pages of every huge page that lies within the range; they are there already.
int collapse(std::byte* data, std::size_t size_bytes, std::size_t huge_bytes) noexcept {
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  const std::size_t skip = (huge_bytes - begin % huge_bytes) % huge_bytes;
  if (size_bytes < skip + huge_bytes) return EINVAL;  // None does.
  const std::size_t whole = (size_bytes - skip) / huge_bytes * huge_bytes;
  int tries = 0;
  while (::madvise(data + skip, whole, kAdviseCollapse) != 0) {
    // EAGAIN: a page was in use just then.
    if (errno != EAGAIN && errno != EINTR) return errno;
    if (++tries == kAgainMax) return EAGAIN;
  }
  return 0;
}

// What was asked for has been tried; now see what came of it.
void report_huge_pages(const std::byte* data, std::size_t size_bytes,
                       MappingReport& report) noexcept {
  Result<Residency> residency = residency_of(data, size_bytes);
  report.huge_bytes = residency.ok() ? residency->huge_bytes : 0;
  // Nobody knows, which is not the same as none.
  if (!residency.ok() && report.huge_errno == 0) report.huge_errno = residency.error().os_errno;
  report.huge_pages = report.huge_bytes == 0            ? HugePages::kNone
                      : report.huge_bytes >= size_bytes ? HugePages::kAll
                                                        : HugePages::kPartly;
}

Error lock_refused(int os_errno, std::uint64_t size_bytes) noexcept {
  Error error{ErrorCode::kSystem, os_errno, "lock a segment in memory"};
  Result<MemlockBudget> budget = memlock_budget();
  if (!budget.ok()) return error;
  const std::uint64_t need = round_up(size_bytes, page_size_bytes());
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

Result<Mapping> Mapping::map(int fd, std::uint64_t offset_bytes, std::uint64_t size_bytes,
                             const MappingOptions& options) noexcept {
  Result<std::uint64_t> page_bytes = file_page_size_bytes(fd);
  if (!page_bytes.ok()) return page_bytes.error();
  if (Status judged = judge_range(fd, offset_bytes, size_bytes, *page_bytes, options.access);
      !judged.ok()) {
    return judged.error();
  }
  const int protection = options.access == Access::kReadWrite ? PROT_READ | PROT_WRITE : PROT_READ;
  const auto mapped_bytes = static_cast<std::size_t>(round_up(size_bytes, *page_bytes));
  const auto huge_bytes = options.huge_pages ? static_cast<std::size_t>(huge_page_size_bytes()) : 0;
  const bool aligns = huge_bytes != 0 && *page_bytes < huge_bytes && size_bytes >= huge_bytes;
  void* address = aligns ? map_aligned(fd, offset_bytes, mapped_bytes, protection, huge_bytes)
                         : ::mmap(nullptr, mapped_bytes, protection, MAP_SHARED, fd,
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
  mapping.mapped_bytes_ = mapped_bytes;
  mapping.access_ = options.access;
  mapping.report_.size_bytes = size_bytes;
  mapping.report_.page_bytes = *page_bytes;
  if (Status ready = mapping.make_ready(options); !ready.ok()) return ready.error();
  return mapping;
}

Status Mapping::make_ready(const MappingOptions& options) noexcept {
  if (::madvise(data_, mapped_bytes_, MADV_DONTFORK) != 0) {
    return Error{ErrorCode::kSystem, errno, "keep a segment out of forked children"};
  }
  if (!options.in_core_dump && ::madvise(data_, mapped_bytes_, MADV_DONTDUMP) != 0) {
    return Error{ErrorCode::kSystem, errno, "keep a segment out of core dumps"};
  }
  const bool merges = options.huge_pages && report_.page_bytes == page_size_bytes();
  // A wish: where it is refused, merging may yet succeed, and the report tells.
  if (merges) static_cast<void>(::madvise(data_, mapped_bytes_, MADV_HUGEPAGE));
  if (options.prefaults) {
    if (Status ready = prefault(data_, mapped_bytes_, access_, report_.prefault); !ready.ok()) {
      return ready;
    }
  }
  // Before merging, since huge pages move as little as they are split.
  report_.numa = place_on_nodes(data_, mapped_bytes_, options.numa);
  if (merges) {
    const auto huge_bytes = static_cast<std::size_t>(huge_page_size_bytes());
    report_.huge_errno = huge_bytes == 0 ? ENOSYS : collapse(data_, mapped_bytes_, huge_bytes);
  }
  if (options.huge_pages) report_huge_pages(data_, mapped_bytes_, report_);
  if (options.memory_lock == MemoryLock::kOff) return {};
  // Not mlock(): the sanitizers' one does nothing and says that it did.
  report_.is_locked = ::syscall(SYS_mlock, data_, mapped_bytes_) == 0;
  if (report_.is_locked) return {};
  report_.lock_errno = errno;
  if (options.memory_lock == MemoryLock::kTry) return {};
  return lock_refused(report_.lock_errno, mapped_bytes_);
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)),
      mapped_bytes_(std::exchange(other.mapped_bytes_, 0)),
      access_(other.access_),
      report_(other.report_) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    unmap();
    data_ = std::exchange(other.data_, nullptr);
    size_bytes_ = std::exchange(other.size_bytes_, 0);
    mapped_bytes_ = std::exchange(other.mapped_bytes_, 0);
    access_ = other.access_;
    report_ = other.report_;
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

Status Mapping::show_instead(Mapping& newer) noexcept {
  check(is_mapped() && newer.is_mapped() && mapped_bytes_ == newer.mapped_bytes_ &&
            access_ == newer.access_,
        "a mapping shown in place of another is like it");
  const void* moved =
      ::mremap(newer.data_, mapped_bytes_, mapped_bytes_, MREMAP_MAYMOVE | MREMAP_FIXED, data_);
  if (moved == MAP_FAILED) {
    return Error{errno == ENOMEM ? ErrorCode::kNoSpace : ErrorCode::kSystem, errno,
                 "show newer memory in place of older"};
  }
  newer.data_ = nullptr;
  size_bytes_ = newer.size_bytes_;
  report_ = newer.report_;
  return {};
}

void Mapping::unmap() noexcept {
  if (data_ == nullptr) return;
  unmap_or_leave(data_, mapped_bytes_);
  data_ = nullptr;
  size_bytes_ = 0;
  mapped_bytes_ = 0;
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

#include "platform/memory/mapping.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <string>

#include "platform/memory/residency.h"
#include "platform/memory/segment_file.h"
#include "tests/platform/other_process.h"
#include "tests/platform/scratch.h"
#include "tests/platform/seccomp.h"

namespace slipring {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kSize = 8 * kPage;
constexpr MappingOptions kWritable{.access = Access::kReadWrite, .memory_lock = MemoryLock::kOff};
constexpr MappingOptions kReadable{.access = Access::kReadOnly, .memory_lock = MemoryLock::kOff};

struct Segment {
  Segment() : directory(opened(scratch.path() + "/d")), file(made(directory)) {}
  ~Segment() { static_cast<void>(remove_segment(directory, "s")); }

  static SegmentDirectory opened(const std::string& path) {
    Result<SegmentDirectory> result = SegmentDirectory::open_at(path);
    if (!result.ok()) std::abort();
    return std::move(result).value();
  }
  static SegmentFile made(const SegmentDirectory& directory) {
    Result<NewSegment> fresh = NewSegment::create(directory, "s", kSize);
    if (!fresh.ok() || !fresh->publish().ok()) std::abort();
    Result<SegmentFile> result = SegmentFile::open(directory, "s");
    if (!result.ok()) std::abort();
    return std::move(result).value();
  }
  Descriptor writable() const {
    Result<Descriptor> result = file.open_writable(directory);
    if (!result.ok()) std::abort();
    return std::move(result).value();
  }

  Scratch scratch;
  SegmentDirectory directory;
  SegmentFile file;
};

TEST_CASE("mapping: what the writer stores the readers see, range by range") {
  Segment segment;
  const Descriptor fd = segment.writable();
  Result<Mapping> writer = Mapping::map(fd.get(), 2 * kPage, kPage, kWritable);
  Result<Mapping> reader = Mapping::map(segment.file.read_only_fd(), 0, kSize, kReadable);
  REQUIRE(writer.ok());
  REQUIRE(reader.ok());
  CHECK(writer->size_bytes() == kPage);
  writer->writable_bytes()[5] = std::byte{42};
  CHECK(reader->bytes()[2 * kPage + 5] == std::byte{42});
  CHECK(reader->bytes()[5] == std::byte{0});
}

TEST_CASE("mapping: a store into a read-only region faults in whoever stores") {
  Segment segment;
  OtherProcess hostile([&](Line) {
    Result<Mapping> reader = Mapping::map(segment.file.read_only_fd(), 0, kSize, kReadable);
    if (!reader.ok()) return 1;
    const_cast<volatile std::byte*>(reader->bytes().data())[kPage] = std::byte{1};
    return 2;
  });
  CHECK(hostile.wait() == -SIGSEGV);
}

TEST_CASE("mapping: a read-only region cannot be raised, and must come from a read-only file") {
  Segment segment;
  Result<Mapping> reader = Mapping::map(segment.file.read_only_fd(), 0, kSize, kReadable);
  REQUIRE(reader.ok());
  errno = 0;
  CHECK(::mprotect(const_cast<std::byte*>(reader->bytes().data()), kSize, PROT_READ | PROT_WRITE) ==
        -1);
  CHECK(errno == EACCES);
  const Descriptor fd = segment.writable();
  CHECK(Mapping::map(fd.get(), 0, kSize, kReadable).error().code == ErrorCode::kInvalidArgument);
  CHECK(Mapping::map(segment.file.read_only_fd(), 0, kSize, kWritable).error().code ==
        ErrorCode::kPermission);
}

TEST_CASE("mapping: a forked child has no mapping at all") {
  Segment segment;
  Result<Mapping> reader = Mapping::map(segment.file.read_only_fd(), 0, kSize, kReadable);
  REQUIRE(reader.ok());
  OtherProcess child([&](Line) {
    return static_cast<int>(const_cast<const volatile std::byte*>(reader->bytes().data())[0]);
  });
  CHECK(child.wait() == -SIGSEGV);
}

TEST_CASE("mapping: ranges that cannot be are refused") {
  Segment segment;
  const int fd = segment.file.read_only_fd();
  const auto code = [&](std::uint64_t offset, std::uint64_t size) {
    return Mapping::map(fd, offset, size, kReadable).error().code;
  };
  CHECK(code(0, 0) == ErrorCode::kInvalidArgument);
  CHECK(code(100, kPage) == ErrorCode::kInvalidArgument);
  CHECK(code(0, UINT64_MAX) == ErrorCode::kInvalidArgument);
  CHECK(code(kSize, 1) == ErrorCode::kCorruptPeer);
  CHECK(code(kPage, kSize) == ErrorCode::kCorruptPeer);
  CHECK(code(UINT64_MAX - kPage + 1, 2 * kPage) == ErrorCode::kCorruptPeer);
  const Error error = Mapping::map(fd, kPage, kSize, kReadable).error();
  CHECK(error.found == kSize);
  CHECK(error.wanted == kSize + kPage);
}

TEST_CASE("mapping: it is resident before it is used, and unmapped when it goes") {
  Segment segment;
  const std::byte* address = nullptr;
  {
    Result<Mapping> reader = Mapping::map(segment.file.read_only_fd(), 0, kSize, kReadable);
    REQUIRE(reader.ok());
    Mapping moved = std::move(*reader);
    CHECK_FALSE(reader->is_mapped());
    address = moved.bytes().data();
    // Bit 63 of a pagemap entry: the page is in this process's tables.
    const Descriptor pagemap(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
    const std::uint64_t first = reinterpret_cast<std::uintptr_t>(address) / kPage;
    for (std::uint64_t page = 0; page < kSize / kPage; ++page) {
      std::uint64_t entry = 0;
      REQUIRE(::pread(pagemap.get(), &entry, sizeof(entry),
                      static_cast<off_t>((first + page) * 8)) == 8);
      CHECK((entry >> 63) == 1);
    }
  }
  unsigned char resident[8] = {};
  CHECK(::mincore(const_cast<std::byte*>(address), kSize, resident) == -1);
}

TEST_CASE("mapping: locked memory is locked, and counted in the budget") {
  Segment segment;
  const std::uint64_t before = memlock_budget()->in_use_bytes;
  Result<Mapping> reader =
      Mapping::map(segment.file.read_only_fd(), 0, kSize, {.memory_lock = MemoryLock::kTry});
  REQUIRE(reader.ok());
  if (!reader->is_locked()) {
    CHECK(reader->lock_errno() != 0);
    MESSAGE("not run: this machine's RLIMIT_MEMLOCK is below ", kSize, " bytes");
    return;
  }
  CHECK(reader->lock_errno() == 0);
  CHECK(memlock_budget()->in_use_bytes == before + kSize);
}

// Becomes a process without CAP_IPC_LOCK and with room for `limit_bytes` of locked memory.
bool bind_memlock(std::uint64_t limit_bytes) {
  const struct rlimit limit = {limit_bytes, limit_bytes};
  if (::setrlimit(RLIMIT_MEMLOCK, &limit) != 0) return false;
  if (::geteuid() == 0 &&
      (::setgroups(0, nullptr) != 0 || ::setgid(12345) != 0 || ::setuid(12345) != 0)) {
    return false;
  }
  return !memlock_budget()->has_ipc_lock;
}

int map_beyond_limit(const Segment& segment, std::uint64_t limit_bytes) {
  if (!bind_memlock(limit_bytes)) return 77;
  const int fd = segment.file.read_only_fd();
  const MemlockBudget budget = memlock_budget().value();
  if (budget.limit_bytes != limit_bytes || budget.allows(kSize)) return 1;
  Result<Mapping> required = Mapping::map(fd, 0, kSize, {.memory_lock = MemoryLock::kRequire});
  if (required.ok() || required.error().code != ErrorCode::kLockLimit) return 2;
  if (required.error().found != limit_bytes || required.error().wanted != kSize) return 3;
  Result<Mapping> tried = Mapping::map(fd, 0, kSize, {.memory_lock = MemoryLock::kTry});
  if (!tried.ok() || tried->is_locked() || tried->lock_errno() == 0) return 4;
  if (limit_bytes < kPage) return 0;
  if (!budget.allows(limit_bytes)) return 5;
  Result<Mapping> small = Mapping::map(fd, 0, kPage, {.memory_lock = MemoryLock::kRequire});
  return small.ok() && small->is_locked() ? 0 : 6;
}

TEST_CASE("mapping: too small a memlock limit is an error with limit and need, or reported") {
  Segment segment;
  for (const std::uint64_t limit_bytes : {std::uint64_t{0}, kPage, kSize - kPage}) {
    OtherProcess child([&](Line) { return map_beyond_limit(segment, limit_bytes); });
    const int code = child.wait();
    if (code == 77) {
      MESSAGE("not run: the test cannot give CAP_IPC_LOCK up here");
      return;
    }
    CHECK(code == 0);
  }
}

TEST_CASE("mapping: the budget adds up without overflow") {
  MemlockBudget budget;
  budget.limit_bytes = 100;
  budget.in_use_bytes = 60;
  CHECK(budget.allows(40));
  CHECK_FALSE(budget.allows(41));
  CHECK_FALSE(budget.allows(UINT64_MAX));
  budget.in_use_bytes = 200;
  CHECK_FALSE(budget.allows(0));
  budget.has_ipc_lock = true;
  CHECK(budget.allows(UINT64_MAX));
}

TEST_CASE("mapping: memory that was taken away is an error and no SIGBUS at attach") {
  Segment segment;
  const Descriptor fd = segment.writable();
  REQUIRE(::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                      static_cast<off_t>(kSize)) == 0);
  CHECK(Mapping::map(segment.file.read_only_fd(), 0, kSize, kReadable).ok());
  REQUIRE(::ftruncate(fd.get(), static_cast<off_t>(kPage)) == 0);
  CHECK(Mapping::map(segment.file.read_only_fd(), 0, kSize, kReadable).error().code ==
        ErrorCode::kCorruptPeer);
}

constexpr std::uint64_t kMebibyte = 1024 * 1024;

// Of `size_bytes`, its file on a tmpfs.
struct LargeSegment {
  explicit LargeSegment(std::uint64_t size_bytes, const SegmentOptions& options = {})
      : directory(Segment::opened(scratch.path() + "/d")),
        fresh(NewSegment::create(directory, "large", size_bytes, options)) {
    if (!fresh.ok()) std::abort();
  }
  Scratch scratch;
  SegmentDirectory directory;
  Result<NewSegment> fresh;
};

// What the kernel shows now, beside what the mapping says.
std::uint64_t huge_bytes_of(const Mapping& mapping) {
  return residency_of(mapping.bytes().data(), mapping.size_bytes())->huge_bytes;
}

TEST_CASE("mapping: huge pages are those that the kernel shows, or a reason is given") {
  LargeSegment segment(8 * kMebibyte);
  MappingOptions options = kWritable;
  options.huge_pages = true;
  Result<Mapping> all = Mapping::map(segment.fresh->data_fd(), 0, 8 * kMebibyte, options);
  REQUIRE(all.ok());
  CHECK(all->huge_pages() != HugePages::kNotAsked);
  CHECK(all->report().huge_bytes == huge_bytes_of(*all));
  if (all->huge_pages() == HugePages::kNone) {
    MESSAGE("partly not run: ", describe(all->report()));
    CHECK(all->report().huge_errno != 0);
    return;
  }
  CHECK(all->report().huge_bytes <= 8 * kMebibyte);
  all->writable_bytes()[5 * kMebibyte] = std::byte{9};
  // A range that begins and ends inside huge pages: 3 MiB to 7 MiB holds one whole one.
  Result<Mapping> part =
      Mapping::map(segment.fresh->data_fd(), 3 * kMebibyte, 4 * kMebibyte, options);
  REQUIRE(part.ok());
  CHECK(part->bytes()[2 * kMebibyte] == std::byte{9});
  CHECK(part->report().huge_bytes == huge_bytes_of(*part));
  CHECK(part->huge_pages() != HugePages::kAll);
}

TEST_CASE("mapping: a range without room for a huge page has none, and says so") {
  Segment segment;
  Result<Mapping> asked = Mapping::map(segment.file.read_only_fd(), 0, kSize,
                                       {.memory_lock = MemoryLock::kOff, .huge_pages = true});
  REQUIRE(asked.ok());
  CHECK(asked->huge_pages() == HugePages::kNone);
  CHECK(asked->report().huge_bytes == 0);
  CHECK(asked->report().huge_errno != 0);
  Result<Mapping> plain = Mapping::map(segment.file.read_only_fd(), 0, kSize, kReadable);
  REQUIRE(plain.ok());
  CHECK(plain->huge_pages() == HugePages::kNotAsked);
}

constexpr int kNoFilters = 77;
constexpr std::uint32_t kCollapse = 25;

TEST_CASE("mapping: kernels without the newer kinds of madvise are served, and it is reported") {
  LargeSegment segment(8 * kMebibyte);
  for (const int os_errno : {EINVAL, ENOSYS, EPERM}) {
    OtherProcess child([&](Line) {
      if (!forbid_calls({{SYS_madvise, os_errno, MADV_POPULATE_READ, 2},
                         {SYS_madvise, os_errno, MADV_POPULATE_WRITE, 2},
                         {SYS_madvise, os_errno, kCollapse, 2}})) {
        return kNoFilters;
      }
      for (const Access access : {Access::kReadOnly, Access::kReadWrite}) {
        const Descriptor read_only(
            ::open(("/proc/self/fd/" + std::to_string(segment.fresh->data_fd())).c_str(),
                   O_RDONLY | O_CLOEXEC));
        const int fd = access == Access::kReadOnly ? read_only.get() : segment.fresh->data_fd();
        Result<Mapping> mapping =
            Mapping::map(fd, 0, 8 * kMebibyte,
                         {.access = access, .memory_lock = MemoryLock::kOff, .huge_pages = true});
        if (!mapping.ok()) return 1;
        if (mapping->report().prefault != Prefault::kTouched) return 2;
        if (residency_of(mapping->bytes().data(), mapping->size_bytes())->resident_bytes !=
            8 * kMebibyte) {
          return 3;
        }
        if (mapping->report().huge_errno != os_errno) return 4;
      }
      return 0;
    });
    const int code = child.wait();
    if (code == kNoFilters) {
      MESSAGE("not run: this process may not have a filter of system calls");
      return;
    }
    CHECK(code == 0);
  }
}

TEST_CASE("mapping: placement on nodes is done or reported, by the creator and by a mapping") {
  const std::uint64_t first_node = numa_nodes() & (~numa_nodes() + 1);
  const NumaRequest bound{NumaPolicy::kBind, first_node};
  LargeSegment segment(4 * kMebibyte, {.numa = bound});
  CHECK(segment.fresh->numa().outcome != NumaOutcome::kNotAsked);
  MappingOptions options = kWritable;
  options.numa = bound;
  Result<Mapping> mapping = Mapping::map(segment.fresh->data_fd(), 0, 4 * kMebibyte, options);
  REQUIRE(mapping.ok());
  const NumaReport& numa = mapping->report().numa;
  CHECK(numa.outcome == segment.fresh->numa().outcome);
  if (numa.node_mask != 0) CHECK(numa.node_mask == first_node);
  CHECK(Mapping::map(segment.fresh->data_fd(), 0, kPage, kWritable)->report().numa.outcome ==
        NumaOutcome::kNotAsked);
}

// A segment on a pool of huge pages, in a name space of this process.  0, or what went wrong.
int use_pool(const Scratch& scratch) {
  constexpr int kNotRun = 77;
  const std::string path = scratch.path() + "/pool";
  if (::unshare(CLONE_NEWNS) != 0 || ::mkdir(path.c_str(), 0700) != 0) return kNotRun;
  if (::mount("none", scratch.path().c_str(), nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 &&
      ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return kNotRun;
  }
  if (::mount("none", path.c_str(), "hugetlbfs", 0, "mode=0700") != 0) return kNotRun;
  Result<SegmentDirectory> directory = SegmentDirectory::open_at(path);
  if (!directory.ok()) return 1;
  Result<NewSegment> fresh = NewSegment::create(*directory, "huge", 3 * kMebibyte);
  if (!fresh.ok()) return fresh.error().code == ErrorCode::kNoSpace ? kNotRun : 2;
  if (fresh->size_bytes() % (2 * kMebibyte) != 0 || fresh->size_bytes() < 3 * kMebibyte) return 3;
  if (!fresh->publish().ok()) return 4;
  Result<SegmentFile> file = SegmentFile::open(*directory, "huge");
  if (!file.ok() || file->size_bytes() != fresh->size_bytes()) return 5;
  // Not at a multiple of the file's page.
  const Error inside = Mapping::map(file->read_only_fd(), kPage, kPage, kReadable).error();
  if (inside.code != ErrorCode::kInvalidArgument || inside.wanted % (2 * kMebibyte) != 0) return 6;
  MappingOptions options = kWritable;
  options.huge_pages = true;
  Result<Mapping> mapping = Mapping::map(fresh->data_fd(), 0, 3 * kMebibyte, options);
  if (!mapping.ok() || mapping->size_bytes() != 3 * kMebibyte) return 7;
  if (mapping->huge_pages() != HugePages::kAll) return 8;
  mapping->writable_bytes()[3 * kMebibyte - 1] = std::byte{5};
  Result<Mapping> reader = Mapping::map(file->read_only_fd(), 0, 3 * kMebibyte, kReadable);
  if (!reader.ok() || reader->bytes()[3 * kMebibyte - 1] != std::byte{5}) return 9;
  return remove_segment(*directory, "huge").ok() ? 0 : 10;
}

TEST_CASE("mapping: a segment on hugetlbfs consists of the pool's pages") {
  Scratch scratch;
  OtherProcess child([&](Line) { return use_pool(scratch); });
  const int code = child.wait();
  if (code == 77) {
    MESSAGE("not run: it takes root, and two free pages in the pool (sysctl vm.nr_hugepages)");
    return;
  }
  CHECK(code == 0);
}

TEST_CASE("mapping: a range beyond 4 GiB of a sparse file is mapped by its whole offset") {
  const Descriptor file(::memfd_create("mapping_test", MFD_CLOEXEC));
  constexpr std::uint64_t kFar = (std::uint64_t{9} << 29) + kPage;  // 4.5 GiB and a page
  REQUIRE(::ftruncate(file.get(), static_cast<off_t>(std::uint64_t{5} << 30)) == 0);
  Result<Mapping> far = Mapping::map(file.get(), kFar, kPage, kWritable);
  REQUIRE(far.ok());
  far->writable_bytes()[1] = std::byte{33};
  unsigned char byte = 0;
  REQUIRE(::pread(file.get(), &byte, 1, static_cast<off_t>(kFar + 1)) == 1);
  CHECK(byte == 33);
}

}  // namespace
}  // namespace slipring

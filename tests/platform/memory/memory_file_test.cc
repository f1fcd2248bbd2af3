#include "platform/memory/memory_file.h"

#include <doctest/doctest.h>
#include <linux/memfd.h>
#include <sys/syscall.h>

#include <cerrno>

#include "platform/memory/mapping.h"
#include "tests/platform/other_process.h"
#include "tests/platform/seccomp.h"

namespace slipring {
namespace {

constexpr std::uint64_t kMebibyte = 1024 * 1024;
constexpr std::uint64_t kTaken = 4 * kMebibyte;
constexpr int kNoFilters = 77;

TEST_CASE("memory file: what is stored through it is read through its read-only descriptor") {
  for (const bool wants_huge_pages : {false, true}) {
    Result<MemoryFile> file = make_memory_file(kTaken - 5, wants_huge_pages);
    REQUIRE(file.ok());
    CHECK(file->size_bytes == kTaken);
    CHECK((file->is_huge || !wants_huge_pages || file->huge_errno != 0));
    Result<Mapping> writer =
        Mapping::map(file->descriptor.get(), 0, file->size_bytes,
                     {.access = Access::kReadWrite, .memory_lock = MemoryLock::kOff});
    REQUIRE(writer.ok());
    Result<Descriptor> read_only = file->open_read_only();
    REQUIRE(read_only.ok());
    Result<Mapping> reader =
        Mapping::map(read_only->get(), 0, file->size_bytes, {.memory_lock = MemoryLock::kOff});
    REQUIRE(reader.ok());
    writer->writable_bytes()[kMebibyte] = std::byte{7};
    CHECK(reader->bytes()[kMebibyte] == std::byte{7});
    CHECK(reader->bytes()[kTaken - 1] == std::byte{0});
  }
}

TEST_CASE("memory file: impossible sizes are refused") {
  CHECK(make_memory_file(0, false).error().code == ErrorCode::kInvalidArgument);
  CHECK(make_memory_file(UINT64_MAX, false).error().code == ErrorCode::kInvalidArgument);
}

TEST_CASE("memory file: without a pool of huge pages, or room in it, it is of ordinary ones") {
  OtherProcess child([](Line) {
    if (!forbid_calls({{SYS_memfd_create, ENOSYS, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB, 1},
                       {SYS_memfd_create, EINVAL, MFD_CLOEXEC | MFD_HUGETLB | 8, 1}})) {
      return kNoFilters;
    }
    Result<MemoryFile> file = make_memory_file(kTaken, true);
    if (!file.ok() || file->is_huge) return 1;
    return file->huge_errno == ENOSYS ? 0 : 2;
  });
  const int code = child.wait();
  if (code != kNoFilters) CHECK(code == 0);
}

TEST_CASE("memory file: a kernel without memfd is unsupported") {
  OtherProcess child([](Line) {
    if (!forbid_calls({{SYS_memfd_create, ENOSYS}})) return kNoFilters;
    return make_memory_file(kTaken, true).error().code == ErrorCode::kUnsupported ? 0 : 1;
  });
  const int code = child.wait();
  if (code != kNoFilters) CHECK(code == 0);
}

}  // namespace
}  // namespace slipring

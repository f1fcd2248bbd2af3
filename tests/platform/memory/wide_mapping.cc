// Maps behind 4 GiB of a sparse file, and more than a 32-bit process has addresses for.  Built for
// i386 as well, and run by wide_mapping_test.sh.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>

#include "platform/memory/mapping.h"
#include "platform/process/descriptor.h"

namespace slipring {
namespace {

constexpr std::uint64_t kGibibyte = std::uint64_t{1} << 30;
constexpr std::uint64_t kPage = 4096;
constexpr MappingOptions kWritable{.access = Access::kReadWrite, .memory_lock = MemoryLock::kOff};

int fail(const char* what) {
  std::fprintf(stderr, "wide_mapping: %s\n", what);
  return 1;
}

int run() {
  const Descriptor file(::memfd_create("wide_mapping", MFD_CLOEXEC));
  if (!file.is_open() || ::ftruncate(file.get(), 5 * kGibibyte) != 0) return fail("no sparse file");
  constexpr std::uint64_t kFar = 4 * kGibibyte + 5 * kPage;
  Result<Mapping> far = Mapping::map(file.get(), kFar, kPage, kWritable);
  if (!far.ok()) return fail(far.error().doing);
  far->writable_bytes()[7] = std::byte{42};
  unsigned char near_byte = 1;
  unsigned char far_byte = 0;
  if (::pread(file.get(), &near_byte, 1, 5 * kPage + 7) != 1 ||
      ::pread(file.get(), &far_byte, 1, kFar + 7) != 1) {
    return fail("cannot read back");
  }
  if (near_byte != 0 || far_byte != 42) return fail("stored at another offset");
  if (sizeof(void*) == 8) {
    std::puts("64-bit: a page behind 4 GiB is mapped");
    return 0;
  }
  const Error whole = Mapping::map(file.get(), 0, 5 * kGibibyte, kWritable).error();
  if (whole.code != ErrorCode::kNoSpace || whole.wanted != 5 * kGibibyte || whole.found == 0) {
    return fail("5 GiB in a 32-bit process is another error");
  }
  std::printf("32-bit: a page behind 4 GiB is mapped; 5 GiB at once: cannot %s\n", whole.doing);
  return 0;
}

}  // namespace
}  // namespace slipring

int main() {
  return slipring::run();
}

#include "platform/memory/memory_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "platform/memory/page_size.h"

namespace slipring {

namespace {

static_assert(sizeof(off_t) == 8, "32-bit systems must be asked for 64-bit offsets");

// linux/memfd.h, newer than some headers.
constexpr unsigned kNoexecSeal = 0x0008;

Error refusal(int os_errno, std::uint64_t size_bytes) noexcept {
  const bool is_space = os_errno == ENOSPC || os_errno == ENOMEM || os_errno == EMFILE ||
                        os_errno == ENFILE || os_errno == EFBIG;
  const ErrorCode code = is_space             ? ErrorCode::kNoSpace
                         : os_errno == ENOSYS ? ErrorCode::kUnsupported
                                              : ErrorCode::kSystem;
  return {code, os_errno, "make memory without a name", 0, size_bytes};
}

Result<MemoryFile> make(std::uint64_t size_bytes, unsigned flags, std::uint64_t taken_bytes,
                        const char* shown_name) noexcept {
  int fd = ::memfd_create(shown_name, MFD_CLOEXEC | flags | kNoexecSeal);
  // Linux before 6.3 knows no such seal; with it, further seals are allowed as a matter of course.
  if (fd < 0 && errno == EINVAL) {
    fd = ::memfd_create(shown_name, MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
  }
  if (fd < 0) return refusal(errno, size_bytes);
  MemoryFile file;
  file.descriptor = Descriptor(fd);
  Result<std::uint64_t> page_bytes = file_page_size_bytes(fd);
  if (!page_bytes.ok()) return page_bytes.error();
  file.size_bytes = (size_bytes + *page_bytes - 1) / *page_bytes * *page_bytes;
  file.is_huge = (flags & MFD_HUGETLB) != 0;
  const auto size = static_cast<off_t>(file.size_bytes);
  while (::ftruncate(fd, size) != 0) {
    if (errno != EINTR) return refusal(errno, size_bytes);
  }
  const auto taken = static_cast<off_t>(std::min(file.size_bytes, taken_bytes));
  while (::fallocate(fd, 0, 0, taken) != 0) {
    if (errno != EINTR) return refusal(errno, size_bytes);
  }
  return file;
}

}  // namespace

Result<Descriptor> MemoryFile::open_read_only() const noexcept {
  std::array<char, 32> path = {};
  std::snprintf(path.data(), path.size(), "/proc/self/fd/%d", descriptor.get());
  int fd = -1;
  do {
    fd = ::open(path.data(), O_RDONLY | O_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  if (fd >= 0) return Descriptor(fd);
  const ErrorCode code =
      errno == EACCES || errno == EPERM ? ErrorCode::kPermission : ErrorCode::kSystem;
  return Error{code, errno, "open memory without a name for reading"};
}

Result<MemoryFile> make_memory_file(std::uint64_t size_bytes, bool wants_huge_pages,
                                    std::uint64_t taken_bytes, const char* shown_name) noexcept {
  if (size_bytes == 0 || size_bytes > (std::uint64_t{1} << 62)) {
    return Error{ErrorCode::kInvalidArgument, 0, "make memory of this size", size_bytes};
  }
  int huge_errno = 0;
  if (wants_huge_pages) {
    Result<MemoryFile> huge = make(size_bytes, MFD_HUGETLB, taken_bytes, shown_name);
    if (huge.ok()) return huge;
    huge_errno = huge.error().os_errno;
  }
  Result<MemoryFile> plain = make(size_bytes, 0, taken_bytes, shown_name);
  if (plain.ok()) plain->huge_errno = huge_errno;
  return plain;
}

}  // namespace slipring

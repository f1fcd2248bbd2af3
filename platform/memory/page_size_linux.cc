#include "platform/memory/page_size.h"

#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>

#include "platform/process/proc_file.h"

namespace slipring {

std::size_t page_size_bytes() noexcept {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

std::uint64_t huge_page_size_bytes() noexcept {
  // Once known it stays so; what could not be read just now is asked for again.
  static std::atomic<std::uint64_t> known{0};
  // relaxed, both: every thread finds the same number.
  std::uint64_t size = known.load(std::memory_order_relaxed);
  if (size != 0) return size;
  Result<std::string> text = read_proc_file("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
  size = text.ok() ? leading_number(*text).value_or(0) : 0;
  known.store(size, std::memory_order_relaxed);
  return size;
}

Result<std::uint64_t> file_page_size_bytes(int fd) noexcept {
  struct statfs system = {};
  while (::fstatfs(fd, &system) != 0) {
    if (errno != EINTR) return Error{ErrorCode::kSystem, errno, "look at a file's system"};
  }
  // On 32-bit systems the field is signed, and the number has its top bit set.
  if (static_cast<std::uint32_t>(system.f_type) != HUGETLBFS_MAGIC) return page_size_bytes();
  return static_cast<std::uint64_t>(system.f_bsize);
}

}  // namespace slipring

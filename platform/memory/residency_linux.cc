#include "platform/memory/residency.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <string_view>

#include "platform/process/descriptor.h"
#include "platform/process/proc_file.h"

namespace slipring {

namespace {

// Adds one mapping's lines up, of which `overlap_bytes` lie in the range asked for.
void add_line(Residency& sum, std::string_view line, std::uint64_t overlap_bytes) noexcept {
  constexpr std::array<std::string_view, 5> kHuge = {
      "AnonHugePages", "ShmemPmdMapped", "FilePmdMapped", "Shared_Hugetlb", "Private_Hugetlb"};
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const std::string_view key = line.substr(0, colon);
  const std::uint64_t size_bytes =
      std::min(leading_number(line.substr(colon + 1)).value_or(0) * 1024, overlap_bytes);
  if (key == "Rss") sum.resident_bytes += size_bytes;
  if (key == "Locked") sum.locked_bytes += size_bytes;
  if (std::find(kHuge.begin(), kHuge.end(), key) == kHuge.end()) return;
  sum.huge_bytes += size_bytes;
  // The kernel leaves the pages of its pool out of Rss.
  if (key.ends_with("Hugetlb")) sum.resident_bytes += size_bytes;
}

Result<std::string> read_smaps() noexcept {
  int fd = -1;
  do {
    fd = ::open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  const Descriptor file(fd);
  if (!file.is_open()) return Error{ErrorCode::kSystem, errno, "open /proc/self/smaps"};
  std::string text;
  std::array<char, 16384> part;
  for (;;) {
    const ssize_t count = ::read(file.get(), part.data(), part.size());
    if (count == 0) return text;
    if (count > 0) {
      text.append(part.data(), static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      return Error{ErrorCode::kSystem, errno, "read /proc/self/smaps"};
    }
  }
}

}  // namespace

Result<Residency> residency_of(const void* data, std::size_t size_bytes) noexcept {
  Result<std::string> text = read_smaps();
  if (!text.ok()) return text.error();
  const std::uint64_t begin = reinterpret_cast<std::uintptr_t>(data);
  const std::uint64_t end = begin + size_bytes;
  Residency sum;
  std::uint64_t overlap_bytes = 0;
  std::string_view rest = *text;
  while (!rest.empty()) {
    const std::size_t length = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, length);
    rest.remove_prefix(std::min(length + 1, rest.size()));
    // "7f5c0000-7f5c8000 rw-s …" begins a mapping; its lines begin with a capital letter.
    const std::size_t dash = line.find('-');
    const auto from = leading_number(line, 16);
    if (from && dash != std::string_view::npos && dash < line.find(' ')) {
      const std::uint64_t to = leading_number(line.substr(dash + 1), 16).value_or(0);
      const std::uint64_t low = std::max(begin, *from);
      const std::uint64_t high = std::min(end, to);
      overlap_bytes = low < high ? high - low : 0;
    } else if (overlap_bytes != 0) {
      add_line(sum, line, overlap_bytes);
    }
  }
  return sum;
}

}  // namespace slipring

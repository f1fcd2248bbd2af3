#include "platform/memory/segment_name.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <system_error>

namespace slipring {

namespace {
constexpr std::string_view kLockSuffix = ".lock";
}

std::string lock_file_name(std::string_view name, std::uint64_t data_inode) {
  std::string file_name(".");
  file_name += name;
  file_name += '.';
  file_name += std::to_string(data_inode);
  file_name += kLockSuffix;
  return file_name;
}

std::optional<std::uint64_t> data_inode_of_lock(std::string_view file_name,
                                                std::string_view name) noexcept {
  if (file_name.size() <= name.size() + 2 + kLockSuffix.size()) return std::nullopt;
  if (file_name[0] != '.' || file_name.substr(1, name.size()) != name) return std::nullopt;
  if (file_name[1 + name.size()] != '.' || !file_name.ends_with(kLockSuffix)) return std::nullopt;
  file_name.remove_prefix(name.size() + 2);
  file_name.remove_suffix(kLockSuffix.size());
  std::uint64_t inode = 0;
  const char* end = file_name.data() + file_name.size();
  const auto parsed = std::from_chars(file_name.data(), end, inode);
  if (parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
  return inode;
}

std::string_view segment_of_lock(std::string_view file_name) noexcept {
  if (!file_name.starts_with('.') || !file_name.ends_with(kLockSuffix)) return {};
  const std::string_view inner = file_name.substr(1, file_name.size() - 1 - kLockSuffix.size());
  const std::size_t dot = inner.rfind('.');
  if (dot == std::string_view::npos) return {};
  const std::string_view name = inner.substr(0, dot);
  return data_inode_of_lock(file_name, name) ? name : std::string_view{};
}

std::optional<std::vector<std::string>> read_directory_names(int directory_fd) noexcept {
  // A descriptor of its own: the position in a directory belongs to the open file.
  int fd = -1;
  do {
    fd = ::openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return std::nullopt;
  DIR* stream = ::fdopendir(fd);
  if (stream == nullptr) {
    const int os_errno = errno;
    ::close(fd);
    errno = os_errno;
    return std::nullopt;
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream)) {
    names.emplace_back(entry->d_name);
    errno = 0;
  }
  const int os_errno = errno;
  ::closedir(stream);
  errno = os_errno;
  if (os_errno != 0) return std::nullopt;
  return names;
}

}  // namespace slipring

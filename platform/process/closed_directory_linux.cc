#include "platform/process/closed_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "platform/process/descriptor.h"

namespace slipring {
namespace {

// linux/landlock.h, newer than some headers; the numbers are the same on every architecture.
constexpr long kCreateRulesetCall = 444;
constexpr long kAddRuleCall = 445;
constexpr long kRestrictSelfCall = 446;
constexpr unsigned kAskVersion = 1;
constexpr int kPathBeneath = 1;
constexpr std::uint64_t kWriteFile = 1U << 1;
constexpr std::uint64_t kRemoveAndMake = 0x1ff0;  // REMOVE_DIR to MAKE_SYM
constexpr std::uint64_t kRefer = 1U << 13;        // Linux 5.19
constexpr std::uint64_t kTruncate = 1U << 14;     // Linux 6.2

struct RulesetAttributes {
  std::uint64_t handled_access;
};
struct [[gnu::packed]] PathRule {
  std::uint64_t allowed_access;
  std::int32_t parent_fd;
};
static_assert(sizeof(PathRule) == 12);

Error failed(const char* doing) noexcept {
  const bool is_missing = errno == ENOSYS || errno == EOPNOTSUPP;
  return {is_missing ? ErrorCode::kUnsupported : ErrorCode::kSystem, errno, doing};
}

// Allows what lies in `folder`, except `closed`.
Status allow_siblings(int ruleset, int folder, std::string_view closed,
                      std::uint64_t handled) noexcept {
  const int listed = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (listed < 0) return failed("look at a directory's surroundings");
  DIR* stream = ::fdopendir(listed);
  if (stream == nullptr) {
    ::close(listed);
    return failed("look at a directory's surroundings");
  }
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == ".." || name == closed) continue;
    const Descriptor path(::openat(folder, entry->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat found = {};
    if (!path.is_open() || ::fstat(path.get(), &found) != 0 || S_ISLNK(found.st_mode)) continue;
    PathRule rule{};
    rule.allowed_access = S_ISDIR(found.st_mode) ? handled : handled & (kWriteFile | kTruncate);
    rule.parent_fd = path.get();
    // What cannot be allowed stays closed, which is the safe side.
    static_cast<void>(::syscall(kAddRuleCall, ruleset, kPathBeneath, &rule, 0));
  }
  ::closedir(stream);
  return {};
}

}  // namespace

Status close_directory(int directory_fd) noexcept {
  const long version = ::syscall(kCreateRulesetCall, nullptr, 0, kAskVersion);
  if (version < 0) return failed("ask for Landlock");
  RulesetAttributes attributes{kWriteFile | kRemoveAndMake};
  // Unless it is handled and allowed, nothing can be moved between directories.
  if (version >= 2) attributes.handled_access |= kRefer;
  if (version >= 3) attributes.handled_access |= kTruncate;
  const Descriptor ruleset(
      static_cast<int>(::syscall(kCreateRulesetCall, &attributes, sizeof attributes, 0)));
  if (!ruleset.is_open()) return failed("make a Landlock ruleset");

  std::array<char, 32> link = {};
  std::snprintf(link.data(), link.size(), "/proc/self/fd/%d", directory_fd);
  std::array<char, 4096> path = {};
  const ssize_t size = ::readlink(link.data(), path.data(), path.size() - 1);
  if (size <= 0 || path[0] != '/') return failed("find a directory's path");
  std::string_view rest(path.data() + 1, static_cast<std::size_t>(size) - 1);
  Descriptor folder(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  while (!rest.empty()) {
    const std::string part(rest.substr(0, rest.find('/')));
    if (Status allowed =
            allow_siblings(ruleset.get(), folder.get(), part, attributes.handled_access);
        !allowed) {
      return allowed;
    }
    rest.remove_prefix(part.size() < rest.size() ? part.size() + 1 : part.size());
    folder = Descriptor(
        ::openat(folder.get(), part.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!folder.is_open()) return failed("walk to a directory");
  }
  if (::syscall(kRestrictSelfCall, ruleset.get(), 0) == 0) return {};
  return failed("close a directory");
}

}  // namespace slipring

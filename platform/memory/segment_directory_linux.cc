#include "platform/memory/segment_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include "platform/memory/segment_name.h"

namespace slipring {

namespace {

Error from_errno(int os_errno, const char* doing) noexcept {
  switch (os_errno) {
    case ENOENT:
      return {ErrorCode::kNotFound, os_errno, doing};
    case EACCES:
    case EPERM:
    case EROFS:
      return {ErrorCode::kPermission, os_errno, doing};
    case ENOSPC:
    case EDQUOT:
      return {ErrorCode::kNoSpace, os_errno, doing};
    default:
      return {ErrorCode::kSystem, os_errno, doing};
  }
}

int open_directory_fd(const char* path) noexcept {
  int fd = -1;
  do {
    fd = ::open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

// `made` says that it was not there before.
Result<Descriptor> open_or_make(const char* path, bool& made) noexcept {
  int fd = open_directory_fd(path);
  if (fd < 0 && errno == ENOENT) {
    made = ::mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST) return from_errno(errno, "make the segment directory");
    fd = open_directory_fd(path);
  }
  if (fd >= 0) return Descriptor(fd);
  if (errno == ELOOP || errno == ENOTDIR) {
    return Error{ErrorCode::kPermission, errno,
                 "use a segment directory that is a symlink or no directory"};
  }
  return from_errno(errno, "open the segment directory");
}

// Refuses what somebody else could write in or swap.
Status judge(const struct stat& found) noexcept {
  if (!S_ISDIR(found.st_mode)) {
    return Error{ErrorCode::kPermission, 0, "use a segment directory that is not a directory"};
  }
  if (found.st_uid != ::geteuid() && found.st_uid != 0) {
    return Error{ErrorCode::kPermission, 0, "use a segment directory of another owner",
                 found.st_uid, ::geteuid()};
  }
  if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Error{ErrorCode::kPermission, 0,
                 "use a segment directory that others may write in (chmod go-w it)"};
  }
  return {};
}

Status judge_open(int fd, bool made) noexcept {
  struct stat found = {};
  if (::fstat(fd, &found) != 0) return from_errno(errno, "look at the segment directory");
  if (Status judged = judge(found); !judged.ok()) return judged;
  // An odd umask may have taken our own right to write.  (One that takes the right to read makes
  // the open fail, clearly enough.)
  if (made && (found.st_mode & 0777) != 0700 && ::fchmod(fd, 0700) != 0) {
    return from_errno(errno, "set the segment directory's mode");
  }
  return {};
}

}  // namespace

bool is_segment_name(std::string_view name) noexcept {
  const auto is_alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (name.empty() || name.size() > kSegmentNameSizeMax || !is_alphanumeric(name[0])) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) {
    return is_alphanumeric(c) || c == '.' || c == '_' || c == '-';
  });
}

std::string SegmentDirectory::default_path() {
  const char* chosen = ::secure_getenv("SLIPRING_DIR");
  if (chosen != nullptr && *chosen != '\0') return chosen;
  return "/dev/shm/slipring-" + std::to_string(::geteuid());
}

void SegmentDirectory::remove_if_unused() const noexcept {
  const char* chosen = ::secure_getenv("SLIPRING_DIR");
  if ((chosen != nullptr && *chosen != '\0') || path_ != default_path()) return;
  // Fails where somebody else's segment lies in it, as it should.
  static_cast<void>(::rmdir(path_.c_str()));
}

Result<SegmentDirectory> SegmentDirectory::open() noexcept {
  return open_at(default_path());
}

Result<SegmentDirectory> SegmentDirectory::open_at(std::string_view absolute_path) noexcept {
  std::string path(absolute_path);
  if (path.empty() || path[0] != '/' || path.find('\0') != std::string::npos) {
    return Error{ErrorCode::kInvalidArgument, 0,
                 "open the segment directory (SLIPRING_DIR must be an absolute path)"};
  }
  // A trailing slash would make the kernel follow a symlink in the last place.
  while (path.size() > 1 && path.back() == '/') path.pop_back();

  bool made = false;
  Result<Descriptor> directory = open_or_make(path.c_str(), made);
  Status judged = directory.ok() ? judge_open(directory->get(), made) : directory.error();
  if (judged.ok()) return SegmentDirectory(std::move(*directory), std::move(path));
  // Half made it would stay so: with a mode that nobody mends.
  if (made) static_cast<void>(::rmdir(path.c_str()));
  return judged.error();
}

Result<std::vector<std::string>> SegmentDirectory::list() const noexcept {
  const auto entries = read_directory_names(fd_.get());
  if (!entries.has_value()) return Error{ErrorCode::kSystem, errno, "list the segment directory"};
  std::vector<std::string> names;
  for (const std::string& name : *entries) {
    if (!is_segment_name(name)) continue;
    struct stat found = {};
    // What has gone meanwhile is left out; what cannot be looked at must not look gone.
    if (::fstatat(fd_.get(), name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;
      return from_errno(errno, "look at a segment");
    }
    if (!S_ISREG(found.st_mode)) continue;
    struct stat lock = {};
    const std::string lock_name = lock_file_name(name, found.st_ino);
    if (::fstatat(fd_.get(), lock_name.c_str(), &lock, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;
      return from_errno(errno, "look at a segment's lock file");
    }
    names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace slipring

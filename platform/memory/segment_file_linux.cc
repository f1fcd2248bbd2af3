#include "platform/memory/segment_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

#include "core/error/check.h"
#include "platform/memory/page_size.h"
#include "platform/memory/segment_name.h"

namespace slipring {

namespace {

// How often a name may be replaced under an opener before it gives up.
constexpr int kOpenAttempts = 16;

static_assert(sizeof(off_t) == 8, "32-bit systems must be asked for 64-bit offsets");

constexpr Error kBadName{ErrorCode::kInvalidArgument, 0,
                         "use a segment name of other than 1 to 80 of A-Z a-z 0-9 . _ -"};

Error from_errno(int os_errno, const char* doing) noexcept {
  switch (os_errno) {
    case ENOENT:
      return {ErrorCode::kNotFound, os_errno, doing};
    case EEXIST:
      return {ErrorCode::kExists, os_errno, doing};
    case EACCES:
    case EPERM:
    case ELOOP:
    case EROFS:
      return {ErrorCode::kPermission, os_errno, doing};
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return {ErrorCode::kNoSpace, os_errno, doing};
    default:
      return {ErrorCode::kSystem, os_errno, doing};
  }
}

// A file without a name, with the final owner and mode: nobody ever sees it with others.
Result<Descriptor> make_unnamed(int directory_fd, const SegmentOptions& options) noexcept {
  int fd = -1;
  do {
    fd = ::openat(directory_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) {
    if (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT) {
      return Error{ErrorCode::kUnsupported, errno,
                   "make a segment on a file system without O_TMPFILE (use tmpfs)"};
    }
    return from_errno(errno, "make a segment");
  }
  Descriptor file(fd);
  if (options.group && ::fchown(fd, static_cast<uid_t>(-1), *options.group) != 0) {
    return from_errno(errno, "give a segment to its group");
  }
  if (::fchmod(fd, options.mode) != 0) return from_errno(errno, "set a segment's mode");
  return file;
}

// Takes the memory, `wanted_bytes` rounded up to the file system's pages, on the nodes asked for.
Status allocate(int fd, std::uint64_t wanted_bytes, const NumaRequest& numa,
                NumaReport& numa_report) noexcept {
  Result<std::uint64_t> page_bytes = file_page_size_bytes(fd);
  if (!page_bytes.ok()) return page_bytes.error();
  // Ordinary files end at any byte, the pool's only at a page.
  const std::uint64_t grain_bytes = *page_bytes == page_size_bytes() ? 1 : *page_bytes;
  const std::uint64_t size_bytes = (wanted_bytes + grain_bytes - 1) / grain_bytes * grain_bytes;
  const auto refuse = [&](int os_errno) {
    Error error = from_errno(os_errno, "allocate a segment's memory");
    if (os_errno == EOPNOTSUPP) error.code = ErrorCode::kUnsupported;
    error.wanted = size_bytes;
    return error;
  };
  const NumaScope scope(numa);
  numa_report = scope.report();
  int answer = 0;
  do {
    answer = ::ftruncate(fd, static_cast<off_t>(size_bytes));
  } while (answer != 0 && errno == EINTR);
  if (answer != 0) return refuse(errno);
  do {
    answer = ::fallocate(fd, 0, 0, static_cast<off_t>(size_bytes));
  } while (answer != 0 && errno == EINTR);
  if (answer != 0) return refuse(errno);
  return {};
}

// Gives the unnamed file `fd` its name; 0 or an errno.
int link_unnamed(int fd, int directory_fd, const char* name) noexcept {
  // The direct way wants a capability on older kernels, the way through /proc wants /proc.
  if (::linkat(fd, "", directory_fd, name, AT_EMPTY_PATH) == 0) return 0;
  if (errno != ENOENT && errno != EPERM && errno != EACCES) return errno;
  std::array<char, 32> path = {};
  std::snprintf(path.data(), path.size(), "/proc/self/fd/%d", fd);
  if (::linkat(AT_FDCWD, path.data(), directory_fd, name, AT_SYMLINK_FOLLOW) == 0) return 0;
  return errno;
}

// The inode behind `name` now; 0 if there is none.  Errors: whatever keeps us from knowing.
Result<std::uint64_t> current_inode(int directory_fd, const char* name) noexcept {
  struct stat found = {};
  if (::fstatat(directory_fd, name, &found, AT_SYMLINK_NOFOLLOW) == 0) {
    return static_cast<std::uint64_t>(found.st_ino);
  }
  if (errno == ENOENT) return std::uint64_t{0};
  return from_errno(errno, "look at a segment's name");
}

// Whether a lock file belongs neither to a segment nor to a living creator.
bool is_orphan(int directory_fd, const std::string& name, const std::string& file_name,
               std::uint64_t data_inode) noexcept {
  {
    Result<LockFile> lock = LockFile::open(directory_fd, file_name.c_str());
    if (!lock.ok()) return false;
    Result<Probe> creator = lock->probe(kCreatorByte);
    if (!creator.ok() || creator->holder != Holder::kNobody) return false;
  }
  // Only after the probe: a creator that has finished since then left its data file to be seen.
  // Who cannot be asked may live.
  Result<std::uint64_t> current = current_inode(directory_fd, name.c_str());
  return current.ok() && *current != data_inode;
}

void sweep(int directory_fd, const std::string& name) noexcept {
  const auto entries = read_directory_names(directory_fd);
  if (!entries.has_value()) return;
  for (const std::string& file_name : *entries) {
    if (const auto data_inode = data_inode_of_lock(file_name, name)) {
      if (!is_orphan(directory_fd, name, file_name, *data_inode)) continue;
      // A failure leaves an orphan for the next sweep.
      static_cast<void>(::unlinkat(directory_fd, file_name.c_str(), 0));
    }
  }
}

bool is_in_group(gid_t group) noexcept {
  if (group == ::getegid()) return true;
  const int count = ::getgroups(0, nullptr);
  if (count <= 0) return false;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  const int filled = ::getgroups(count, groups.data());
  for (int i = 0; i < filled; ++i) {
    if (groups[static_cast<std::size_t>(i)] == group) return true;
  }
  return false;
}

Status judge_data_file(const struct stat& found) noexcept {
  if (!S_ISREG(found.st_mode)) {
    return Error{ErrorCode::kPermission, 0, "open a segment that is not a regular file"};
  }
  const bool ours = found.st_uid == ::geteuid();
  const bool shared_by_root = found.st_uid == 0 && is_in_group(found.st_gid);
  if (!ours && !shared_by_root) {
    return Error{ErrorCode::kPermission, 0, "open a segment of another owner", found.st_uid,
                 ::geteuid()};
  }
  if ((found.st_mode & S_IWOTH) != 0) {
    return Error{ErrorCode::kPermission, 0, "open a segment that everybody may write to"};
  }
  return {};
}

}  // namespace

Result<NewSegment> NewSegment::create(const SegmentDirectory& directory, std::string_view name,
                                      std::uint64_t size_bytes,
                                      const SegmentOptions& options) noexcept {
  if (!is_segment_name(name)) return kBadName;
  if (size_bytes == 0 || size_bytes > static_cast<std::uint64_t>(INT64_MAX)) {
    return Error{ErrorCode::kInvalidArgument, 0, "make a segment of this size", size_bytes};
  }
  if ((options.mode & ~static_cast<mode_t>(0660)) != 0 || (options.mode & 0600) != 0600) {
    return Error{ErrorCode::kInvalidArgument, 0,
                 "make a segment of a mode other than 0600, 0640, 0620, or 0660", options.mode};
  }
  std::string segment_name(name);
  sweep(directory.fd(), segment_name);
  // An early answer, before the memory is taken; publish decides.
  Result<std::uint64_t> taken = current_inode(directory.fd(), segment_name.c_str());
  if (!taken.ok()) return taken.error();
  if (*taken != 0) {
    return Error{ErrorCode::kExists, 0, "make a segment whose name is taken"};
  }
  Result<Descriptor> data = make_unnamed(directory.fd(), options);
  if (!data.ok()) return data.error();
  NumaReport numa;
  if (Status allocated = allocate(data->get(), size_bytes, options.numa, numa); !allocated.ok()) {
    return allocated.error();
  }
  struct stat made = {};
  if (::fstat(data->get(), &made) != 0) return from_errno(errno, "look at a new segment");

  Result<Descriptor> lock_fd = make_unnamed(directory.fd(), options);
  if (!lock_fd.ok()) return lock_fd.error();
  Result<LockFile> lock = LockFile::adopt(lock_fd->release());
  if (!lock.ok()) return lock.error();
  std::string lock_name = lock_file_name(segment_name, made.st_ino);
  NewSegment segment(directory, std::move(segment_name), std::move(*data), std::move(*lock),
                     static_cast<std::uint64_t>(made.st_size), std::move(lock_name));
  segment.numa_ = numa;
  return segment;
}

Status NewSegment::publish() noexcept {
  check(!published_, "a segment is published once");
  // From before the first name until after the second, so that no sweep takes the lock file.
  Result<Certificate> creator = Certificate::acquire(lock_, kCreatorByte);
  if (!creator.ok()) return creator.error();
  const int directory_fd = directory_->fd();
  int failed = link_unnamed(lock_.borrowed_fd(), directory_fd, lock_name_.c_str());
  if (failed == EEXIST) {
    // The data inode in the name is ours and alive: what has the name is left from an earlier life
    // of the number.
    static_cast<void>(::unlinkat(directory_fd, lock_name_.c_str(), 0));
    failed = link_unnamed(lock_.borrowed_fd(), directory_fd, lock_name_.c_str());
  }
  if (failed != 0) return from_errno(failed, "publish a segment's lock file");
  failed = link_unnamed(data_.get(), directory_fd, name_.c_str());
  if (failed != 0) {
    static_cast<void>(::unlinkat(directory_fd, lock_name_.c_str(), 0));
    return from_errno(failed, "publish a segment");
  }
  published_ = true;
  return {};
}

Result<SegmentFile> SegmentFile::open(const SegmentDirectory& directory,
                                      std::string_view name) noexcept {
  if (!is_segment_name(name)) return kBadName;
  const std::string segment_name(name);
  for (int attempt = 0; attempt < kOpenAttempts; ++attempt) {
    int fd = -1;
    do {
      // NONBLOCK: a FIFO of that name must not hold us up; it means nothing for a regular file.
      fd = ::openat(directory.fd(), segment_name.c_str(),
                    O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) return from_errno(errno, "open a segment");
    Descriptor data(fd);
    struct stat found = {};
    if (::fstat(fd, &found) != 0) return from_errno(errno, "look at a segment");
    if (Status judged = judge_data_file(found); !judged.ok()) return judged.error();

    const std::string lock_name = lock_file_name(segment_name, found.st_ino);
    Result<LockFile> lock = LockFile::open(directory.fd(), lock_name.c_str());
    if (!lock.ok()) {
      if (lock.error().code != ErrorCode::kNotFound) return lock.error();
      // Removed or replaced between the two looks: look again.  Otherwise it is no segment.
      Result<std::uint64_t> current = current_inode(directory.fd(), segment_name.c_str());
      if (!current.ok()) return current.error();
      if (*current != found.st_ino) continue;
      return Error{ErrorCode::kNotFound, ENOENT, "open a segment whose lock file is missing"};
    }
    SegmentFile opened(segment_name, std::move(data), std::move(*lock));
    opened.size_bytes_ = static_cast<std::uint64_t>(found.st_size);
    opened.device_ = found.st_dev;
    opened.inode_ = found.st_ino;
    opened.mode_ = found.st_mode & 07777;
    return opened;
  }
  return Error{ErrorCode::kNotFound, 0, "open a segment that is replaced again and again"};
}

Result<Descriptor> SegmentFile::open_writable(const SegmentDirectory& directory) const noexcept {
  int fd = -1;
  do {
    fd = ::openat(directory.fd(), name_.c_str(),
                  O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return from_errno(errno, "open a segment for writing");
  Descriptor writable(fd);
  struct stat found = {};
  if (::fstat(fd, &found) != 0) return from_errno(errno, "look at a segment");
  if (found.st_dev != device_ || found.st_ino != inode_) {
    return Error{ErrorCode::kNotFound, 0, "open a segment that was replaced meanwhile"};
  }
  return writable;
}

Status remove_segment(const SegmentDirectory& directory, std::string_view name) noexcept {
  if (!is_segment_name(name)) return kBadName;
  const std::string segment_name(name);
  struct stat found = {};
  if (::fstatat(directory.fd(), segment_name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) {
    const int os_errno = errno;
    if (os_errno == ENOENT) sweep(directory.fd(), segment_name);
    return from_errno(os_errno, "remove a segment");
  }
  if (!S_ISREG(found.st_mode)) {
    return Error{ErrorCode::kPermission, 0, "remove a segment that is not a regular file"};
  }
  if (::unlinkat(directory.fd(), segment_name.c_str(), 0) != 0) {
    return from_errno(errno, "remove a segment");
  }
  sweep(directory.fd(), segment_name);
  return {};
}

Result<std::vector<std::string>> list_orphaned_locks(const SegmentDirectory& directory) noexcept {
  const auto entries = read_directory_names(directory.fd());
  if (!entries.has_value()) return from_errno(errno, "read the segment directory");
  std::vector<std::string> names;
  for (const std::string& file_name : *entries) {
    const std::string name(segment_of_lock(file_name));
    const auto data_inode = data_inode_of_lock(file_name, name);
    if (!is_segment_name(name) || !data_inode) continue;
    if (is_orphan(directory.fd(), name, file_name, *data_inode)) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Status sweep_orphaned_locks(const SegmentDirectory& directory, std::string_view name) noexcept {
  if (!is_segment_name(name)) return kBadName;
  sweep(directory.fd(), std::string(name));
  return {};
}

}  // namespace slipring

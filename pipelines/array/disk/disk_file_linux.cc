#include "pipelines/array/disk/disk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <utility>

namespace slipring::array {
namespace {

Error failed(int number, const char* doing) noexcept {
  const ErrorCode code = number == ENOENT                       ? ErrorCode::kNotFound
                         : number == EACCES || number == EPERM  ? ErrorCode::kPermission
                         : number == ENOSPC || number == EFBIG  ? ErrorCode::kNoSpace
                         : number == EINVAL || number == EISDIR ? ErrorCode::kInvalidArgument
                                                                : ErrorCode::kSystem;
  return {code, number, doing};
}

// 0 or an errno.
int size_of(int file, const struct stat& found, std::uint64_t& size_bytes) noexcept {
  if (S_ISBLK(found.st_mode)) return ::ioctl(file, BLKGETSIZE64, &size_bytes) == 0 ? 0 : errno;
  size_bytes = static_cast<std::uint64_t>(found.st_size);
  return 0;
}

// The file appears with its whole size or not at all.
Result<Descriptor> create(const std::string& path, std::uint64_t size_bytes, int flags) noexcept {
  const std::string beside = path + ".new";
  Descriptor file(::open(beside.c_str(), flags | O_CREAT | O_TRUNC, 0600));
  if (!file.is_open()) return failed(errno, "make a disk's file");
  int fault = ::posix_fallocate(file.get(), 0, static_cast<off_t>(size_bytes));
  if (fault == EOPNOTSUPP || fault == EINVAL) {
    fault = ::ftruncate(file.get(), static_cast<off_t>(size_bytes)) == 0 ? 0 : errno;
  }
  if (fault == 0 && ::fsync(file.get()) != 0) fault = errno;
  if (fault == 0 && ::rename(beside.c_str(), path.c_str()) != 0) fault = errno;
  if (fault == 0) return file;
  ::unlink(beside.c_str());
  return failed(fault, "give a disk's new file its size");
}

}  // namespace

Result<DiskFile> DiskFile::open(const std::string& path, const DiskFileOptions& options) noexcept {
  DiskFile disk;
  const int flags = O_RDWR | O_CLOEXEC | (options.is_direct ? O_DIRECT : 0);
  struct stat found = {};
  const bool is_there = ::stat(path.c_str(), &found) == 0;
  // A device that a file system is mounted from is not to be written to.
  const int exclusive = is_there && S_ISBLK(found.st_mode) ? O_EXCL : 0;
  disk.file = Descriptor(::open(path.c_str(), flags | exclusive));
  if (!disk.file.is_open() && errno == ENOENT && options.create_bytes != 0) {
    Result<Descriptor> made = create(path, options.create_bytes, flags);
    if (!made) return made.error();
    disk.file = std::move(made).value();
  }
  if (!disk.file.is_open() && errno == EBUSY) {
    return failed(EBUSY, "open a disk: it is mounted, or somebody else has it");
  }
  if (!disk.file.is_open()) return failed(errno, "open a disk");
  return adopt(std::move(disk.file));
}

Result<DiskFile> DiskFile::adopt(Descriptor file) noexcept {
  DiskFile disk;
  disk.file = std::move(file);
  struct stat found = {};
  if (::fstat(disk.file.get(), &found) != 0) return failed(errno, "look at a disk");
  if (S_ISREG(found.st_mode)) {
    struct statfs system = {};
    if (::fstatfs(disk.file.get(), &system) != 0) return failed(errno, "look at a disk's place");
    disk.is_in_memory = system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC;
  } else if (!S_ISBLK(found.st_mode)) {
    return failed(EINVAL, "open a disk: it is neither a file nor a block device");
  }
  if (const int fault = size_of(disk.file.get(), found, disk.size_bytes); fault != 0) {
    return failed(fault, "find out how large a disk is");
  }
  return disk;
}

std::string DiskFile::loss() const {
  struct stat found = {};
  if (::fstat(file.get(), &found) != 0) return ::strerror(errno);
  if (S_ISREG(found.st_mode) && found.st_nlink == 0) return "its file was removed";
  std::uint64_t now_bytes = 0;
  if (const int fault = size_of(file.get(), found, now_bytes); fault != 0) {
    return ::strerror(fault);
  }
  if (now_bytes >= size_bytes) return {};
  return "it had " + std::to_string(size_bytes) + " bytes, and has " + std::to_string(now_bytes);
}

}  // namespace slipring::array

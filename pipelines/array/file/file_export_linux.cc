#include "pipelines/array/file/file_export.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace slipring::array {
namespace {

constexpr std::uint32_t kPreferredBytes = 4096;
constexpr std::size_t kZeroBytes = 64 * 1024;

Error failed(const char* doing) noexcept {
  const ErrorCode code = errno == ENOENT                     ? ErrorCode::kNotFound
                         : errno == EACCES || errno == EPERM ? ErrorCode::kPermission
                         : errno == ENOSPC || errno == EFBIG ? ErrorCode::kNoSpace
                                                             : ErrorCode::kSystem;
  return {code, errno, doing};
}

// Of a file or a block device; false for what is neither.
bool size_of(int file, std::uint64_t& size_bytes, bool& is_device) noexcept {
  struct stat found = {};
  if (::fstat(file, &found) != 0) return false;
  is_device = S_ISBLK(found.st_mode);
  if (S_ISREG(found.st_mode)) {
    size_bytes = static_cast<std::uint64_t>(found.st_size);
    return true;
  }
  errno = EINVAL;
  return is_device && ::ioctl(file, BLKGETSIZE64, &size_bytes) == 0;
}

constexpr BlockExtent extent(std::uint64_t length, std::uint32_t flags) noexcept {
  return {__builtin_bswap32(static_cast<std::uint32_t>(length)), __builtin_bswap32(flags)};
}

}  // namespace

Result<FileExport> FileExport::open(const std::string& path, std::uint64_t create_bytes) noexcept {
  bool is_read_only = false;
  Descriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file.is_open() && (errno == EACCES || errno == EROFS)) {
    is_read_only = true;
    file = Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  }
  if (!file.is_open() && errno == ENOENT && create_bytes != 0) {
    file = Descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (file.is_open() && ::ftruncate(file.get(), static_cast<off_t>(create_bytes)) != 0) {
      return failed("give a new file its size");
    }
  }
  if (!file.is_open()) return failed("open a file to serve");
  std::uint64_t size_bytes = 0;
  bool is_device = false;
  if (!size_of(file.get(), size_bytes, is_device)) return failed("find out how large a file is");
  return FileExport(std::move(file), size_bytes, is_read_only, is_device);
}

BlockExport FileExport::description() const noexcept {
  const std::uint32_t flags = is_read_only_
                                  ? kExportIsReadOnly
                                  : kExportCanTrim | kExportCanWriteZeroes | kExportCanFastZero;
  return {size_bytes_, 1, kPreferredBytes, flags, 0};
}

int FileExport::read(std::uint64_t offset, std::span<std::byte> bytes) const noexcept {
  if (!is_within(offset, bytes.size())) return EINVAL;
  while (!bytes.empty()) {
    const ssize_t got =
        ::pread(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) return EIO;  // it has shrunk
    bytes = bytes.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
  return 0;
}

int FileExport::write(std::uint64_t offset, std::span<const std::byte> bytes,
                      bool is_durable) const noexcept {
  if (!is_within(offset, bytes.size())) return ENOSPC;
  while (!bytes.empty()) {
    const iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
    const ssize_t put =
        ::pwritev2(file_.get(), &part, 1, static_cast<off_t>(offset), is_durable ? RWF_DSYNC : 0);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno;
    bytes = bytes.subspan(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
  return 0;
}

int FileExport::flush() const noexcept {
  return ::fdatasync(file_.get()) == 0 ? 0 : errno;
}

int FileExport::trim(std::uint64_t offset, std::uint32_t length, bool is_durable) const noexcept {
  if (!is_within(offset, length)) return EINVAL;
  // Trimming is advice: a file system that cannot has taken note.
  const int error = ask(FALLOC_FL_PUNCH_HOLE, offset, length);
  if (error != 0 && error != EOPNOTSUPP) return error;
  return is_durable ? flush() : 0;
}

int FileExport::ask(int mode, std::uint64_t offset, std::uint32_t length) const noexcept {
  if (::fallocate(file_.get(), mode | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                  static_cast<off_t>(length)) == 0) {
    return 0;
  }
  // Block devices are asked for whole sectors alone.
  return is_device_ && errno == EINVAL ? EOPNOTSUPP : errno;
}

int FileExport::zero_unwritten(std::uint64_t offset, std::uint32_t length,
                               std::uint8_t flags) const noexcept {
  const bool keeps_room = (flags & kNoHole) != 0;
  int error = keeps_room ? EOPNOTSUPP : ask(FALLOC_FL_PUNCH_HOLE, offset, length);
  // Of a device that cannot, the kernel would write the zeros.
  const bool is_unwritten = !is_device_ || (flags & kFastZero) == 0;
  if (error == EOPNOTSUPP && is_unwritten) error = ask(FALLOC_FL_ZERO_RANGE, offset, length);
  if (error != EOPNOTSUPP || !keeps_room || is_device_) return error;
  error = ask(FALLOC_FL_PUNCH_HOLE, offset, length);
  return error != 0 ? error : ask(0, offset, length);
}

int FileExport::write_zeroes(std::uint64_t offset, std::uint32_t length,
                             std::uint8_t flags) const noexcept {
  if (!is_within(offset, length)) return ENOSPC;
  const bool is_durable = (flags & kForceUnitAccess) != 0;
  const int error = zero_unwritten(offset, length, flags);
  if (error == 0) return is_durable ? flush() : 0;
  if (error != EOPNOTSUPP || (flags & kFastZero) != 0) return error;
  static constexpr std::array<std::byte, kZeroBytes> kZeroes{};
  for (std::uint64_t done = 0; done < length;) {
    const std::size_t count = std::min<std::uint64_t>(length - done, kZeroes.size());
    const int written = write(offset + done, std::span(kZeroes).first(count), false);
    if (written != 0) return written;
    done += count;
  }
  return is_durable ? flush() : 0;
}

int FileExport::will_need(std::uint64_t offset, std::uint32_t length) const noexcept {
  if (!is_within(offset, length)) return EINVAL;
  return ::posix_fadvise(file_.get(), static_cast<off_t>(offset), static_cast<off_t>(length),
                         POSIX_FADV_WILLNEED);
}

std::size_t FileExport::extents(std::uint64_t offset, std::uint32_t length,
                                std::span<BlockExtent> extents) const noexcept {
  const std::uint64_t end = offset + length;
  std::size_t count = 0;
  while (count < extents.size() && offset < end) {
    const off_t data = ::lseek(file_.get(), static_cast<off_t>(offset), SEEK_DATA);
    if (data < 0 && errno != ENXIO) {
      // No such thing here: everything is data.
      extents[count++] = extent(end - offset, 0);
      return count;
    }
    const std::uint64_t hole_end = data < 0 ? end : std::min(end, static_cast<std::uint64_t>(data));
    if (hole_end > offset) {
      extents[count++] = extent(hole_end - offset, kExtentIsHole | kExtentIsZero);
      offset = hole_end;
      continue;
    }
    const off_t hole = ::lseek(file_.get(), static_cast<off_t>(offset), SEEK_HOLE);
    const std::uint64_t data_end = hole < 0 ? end : std::min(end, static_cast<std::uint64_t>(hole));
    // A file that changes meanwhile must not stop us.
    if (data_end <= offset) {
      extents[count++] = extent(end - offset, 0);
      return count;
    }
    extents[count++] = extent(data_end - offset, 0);
    offset = data_end;
  }
  return count;
}

}  // namespace slipring::array

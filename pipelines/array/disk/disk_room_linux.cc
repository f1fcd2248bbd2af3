#include "pipelines/array/disk/disk_room.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

namespace slipring::array {
namespace {

// Aligned for O_DIRECT.
constexpr std::size_t kZeroBytes = 64 * 1024;
alignas(4096) constexpr std::byte kZeros[kZeroBytes] = {};

[[nodiscard]] int allocate(int file, int mode, std::uint64_t offset,
                           std::uint64_t length) noexcept {
  while (::fallocate(file, mode | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                     static_cast<off_t>(length)) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

[[nodiscard]] int write_zeros(int file, std::uint64_t offset, std::uint64_t length) noexcept {
  while (length != 0) {
    const ssize_t put = ::pwrite(file, kZeros, std::min<std::uint64_t>(length, kZeroBytes),
                                 static_cast<off_t>(offset));
    if (put < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (put < 0) return errno;
    if (put == 0) return ENOSPC;
    offset += static_cast<std::uint64_t>(put);
    length -= static_cast<std::uint64_t>(put);
  }
  return 0;
}

}  // namespace

int zero_range(int file, std::uint64_t offset_bytes, std::uint64_t length_bytes,
               bool leaves_hole) noexcept {
  int error = EOPNOTSUPP;
  if (leaves_hole) error = allocate(file, FALLOC_FL_PUNCH_HOLE, offset_bytes, length_bytes);
  if (error != 0) error = allocate(file, FALLOC_FL_ZERO_RANGE, offset_bytes, length_bytes);
  // Whatever it did not like about that, be it the file system, the alignment, or a full disk that
  // has no room for one more extent: writing may do.
  return error == 0 ? 0 : write_zeros(file, offset_bytes, length_bytes);
}

int put_extents(int file, std::uint64_t offset_bytes, std::uint64_t length_bytes,
                std::span<std::byte> place) noexcept {
  std::array<DiskExtent, kDiskExtentCount> extents{};
  const std::uint64_t end = offset_bytes + length_bytes;
  std::size_t count = 0;
  for (std::uint64_t at = offset_bytes; at < end && count < extents.size();) {
    const bool is_hole = [&] {
      const off_t hole = ::lseek(file, static_cast<off_t>(at), SEEK_HOLE);
      return hole >= 0 && static_cast<std::uint64_t>(hole) == at;
    }();
    const off_t next = ::lseek(file, static_cast<off_t>(at), is_hole ? SEEK_DATA : SEEK_HOLE);
    std::uint64_t until = end;
    if (next >= 0) until = std::min(end, static_cast<std::uint64_t>(next));
    // No data behind it: a hole to the end.  Anything else is a file without holes' names, or one
    // that changes meanwhile.
    const bool is_known = next >= 0 || (is_hole && errno == ENXIO);
    if (until <= at) until = end;
    extents[count++] = {until - at, is_known && is_hole ? 1U : 0U};
    at = until;
  }
  std::memcpy(place.data(), extents.data(), sizeof extents);
  return 0;
}

}  // namespace slipring::array

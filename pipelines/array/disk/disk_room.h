// The room that a disk's ranges take: giving it back, and looking where none is taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "pipelines/array/disk/disk_request.h"

namespace slipring::array {

// Makes the range zeros: a hole where the file can have them and `leaves_hole`; else zeros that
// keep their room, or are written.  As durable as a write: a sync behind it makes it so.  Answers 0
// or an errno.
[[nodiscard]] int zero_range(int file, std::uint64_t offset_bytes, std::uint64_t length_bytes,
                             bool leaves_hole) noexcept;

// Puts down which parts of the range are holes, by the file system's word; all data where it has
// none.  Answers 0 or an errno.  Requires: `place` has kDiskExtentsBytes.
[[nodiscard]] int put_extents(int file, std::uint64_t offset_bytes, std::uint64_t length_bytes,
                              std::span<std::byte> place) noexcept;

}  // namespace slipring::array

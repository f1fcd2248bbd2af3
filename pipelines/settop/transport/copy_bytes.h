// Copies into a buffer of fixed size that lies beside other members, where a byte too many would go
// unseen, even by a sanitizer.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>

#include "core/error/check.h"

namespace slipring::settop {

// Copies `from` to the start of `room`; they may overlap.  Too little room is a bug of the caller
// and stops the process.
inline void copy_bytes(std::span<std::byte> room, std::span<const std::byte> from) {
  check(from.size() <= room.size(), "more bytes than the buffer has room for");
  if (!from.empty()) std::memmove(room.data(), from.data(), from.size());
}

}  // namespace slipring::settop

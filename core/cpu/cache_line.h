// The line size of the shared layout.
#pragma once

#include <cstddef>

namespace slipring {

// Every shared structure is padded to this, whatever the processor: two 64-byte lines, because
// adjacent-line prefetchers pull pairs, and one Apple or POWER line.  A constant of the ABI, never
// hardware_destructive_interference_size, which changes with compiler flags.
inline constexpr std::size_t kAbiLineBytes = 128;

// The unit in which processors move data; slots are laid out by it.
inline constexpr std::size_t kCacheLineBytes = 64;

}  // namespace slipring

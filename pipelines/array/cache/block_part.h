// Byte ranges in blocks: which block a byte lies in, and what of a block a range covers.
#pragma once

#include <algorithm>
#include <cstdint>

#include "pipelines/array/raid/raid_layout.h"

namespace slipring::array {

[[nodiscard]] constexpr std::uint64_t block_at(std::uint64_t offset) noexcept {
  return offset / kBlockBytes;
}

// Bytes, from the block's first.
struct BlockPart {
  std::uint64_t from;
  std::uint64_t to;
};
// Requires: the range has a byte in the block.
[[nodiscard]] constexpr BlockPart part_of(std::uint64_t block, std::uint64_t offset,
                                          std::uint64_t length) noexcept {
  const std::uint64_t begin = block * kBlockBytes;
  return {std::max(offset, begin) - begin, std::min(offset + length, begin + kBlockBytes) - begin};
}

}  // namespace slipring::array

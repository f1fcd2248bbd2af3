// What a hostile peer writes, and a look at every byte that an honest end was given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace slipring {

// What an attacker would try first, around a value that is right now.
inline std::vector<std::uint64_t> interesting(std::uint64_t right, std::uint64_t lap) {
  return {0,
          1,
          7,
          8,
          right,
          right + 1,
          right - 1,
          right + 8,
          right - 8,
          right + lap,
          right - lap,
          right + lap + 1,
          right + lap + 8,
          right - lap - 1,
          right + 4,
          right ^ (std::uint64_t{1} << 63),
          std::uint64_t{1} << 32,
          UINT32_MAX,
          INT64_MAX,
          std::uint64_t{1} << 63,
          UINT64_MAX,
          UINT64_MAX - 7,
          UINT64_MAX - right};
}

// Reads every byte, so that the sanitizer sees a span that leaves its block.
inline std::uint64_t sum(std::span<const std::byte> bytes) {
  std::uint64_t total = 0;
  for (const std::byte byte : bytes) total += static_cast<std::uint64_t>(byte);
  return total;
}

}  // namespace slipring

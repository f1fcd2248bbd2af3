// Blocks that say who they are: which block, and which version of it.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>

#include "pipelines/array/raid/raid_layout.h"

namespace slipring::array::test {

inline std::uint64_t mixed(std::uint64_t word) noexcept {
  word = (word ^ (word >> 30)) * 0xbf58'476d'1ce4'e5b9;
  word = (word ^ (word >> 27)) * 0x94d0'49bb'1331'11eb;
  return word ^ (word >> 31);
}

inline constexpr std::size_t kWordsPerBlock = kBlockBytes / sizeof(std::uint64_t);

// Version 0 is a block that was never written: zeros.
inline void fill_block(std::byte* bytes, std::uint64_t block, std::uint64_t version) noexcept {
  std::uint64_t words[kWordsPerBlock] = {};
  if (version != 0) {
    words[0] = version;
    words[1] = block;
    for (std::size_t i = 2; i < kWordsPerBlock; ++i) words[i] = mixed(version * 1024 + block + i);
  }
  std::memcpy(bytes, words, sizeof words);
}

// Which version of `block` the bytes are; nothing when they are none, torn or of another block.
inline std::optional<std::uint64_t> version_in(const std::byte* bytes,
                                               std::uint64_t block) noexcept {
  std::uint64_t version = 0;
  std::memcpy(&version, bytes, sizeof version);
  std::byte whole[kBlockBytes];
  fill_block(whole, block, version);
  if (std::memcmp(whole, bytes, sizeof whole) != 0) return std::nullopt;
  return version;
}

}  // namespace slipring::array::test

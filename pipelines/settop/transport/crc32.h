// The CRC of MPEG sections: polynomial 0x04c11db7, most significant bit first, start value all
// ones, no final inversion.  Over a section with its CRC field the result is zero.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace slipring::settop {

namespace crc32_detail {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t value = 0; value < 256; ++value) {
    std::uint32_t crc = value << 24;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc & 0x8000'0000U) != 0 ? crc << 1 ^ 0x04c1'1db7U : crc << 1;
    }
    table[value] = crc;
  }
  return table;
}

inline constexpr std::array<std::uint32_t, 256> kTable = make_table();

}  // namespace crc32_detail

[[nodiscard]] constexpr std::uint32_t crc32_mpeg(std::span<const std::byte> bytes) {
  std::uint32_t crc = 0xffff'ffffU;
  for (const std::byte byte : bytes) {
    const std::uint32_t index = crc >> 24 ^ std::to_integer<std::uint32_t>(byte);
    crc = crc << 8 ^ crc32_detail::kTable[index];
  }
  return crc;
}

}  // namespace slipring::settop

// Numbers as transport streams carry them: most significant byte first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace slipring::settop {

// Requires of each: offset + width <= bytes.size().  The caller has checked the length.
[[nodiscard]] constexpr std::uint8_t load_u8(std::span<const std::byte> bytes, std::size_t offset) {
  return std::to_integer<std::uint8_t>(bytes[offset]);
}

[[nodiscard]] constexpr std::uint16_t load_u16(std::span<const std::byte> bytes,
                                               std::size_t offset) {
  return static_cast<std::uint16_t>(load_u8(bytes, offset) << 8 | load_u8(bytes, offset + 1));
}

[[nodiscard]] constexpr std::uint32_t load_u32(std::span<const std::byte> bytes,
                                               std::size_t offset) {
  return std::uint32_t{load_u16(bytes, offset)} << 16 | load_u16(bytes, offset + 2);
}

}  // namespace slipring::settop

// Messages that say which they are: every byte of one follows from its number, so that a torn or
// mixed-up one is seen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace slipring::crash {

[[nodiscard]] constexpr std::uint64_t word_of(std::uint64_t number, std::size_t at) {
  std::uint64_t word = (number + 1) * 0x9e37'79b9'7f4a'7c15 + (at + 1) * 0xbf58'476d'1ce4'e5b9;
  word ^= word >> 29;
  return word * 0x94d0'49bb'1331'11eb | 1;
}

[[nodiscard]] constexpr std::byte byte_of(std::uint64_t number, std::size_t at) {
  return static_cast<std::byte>(word_of(number, at / 8) >> at % 8 * 8);
}

inline void write_message(std::span<std::byte> bytes, std::uint64_t number) {
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = byte_of(number, i);
}

[[nodiscard]] inline bool is_message(std::span<const std::byte> bytes, std::uint64_t number) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != byte_of(number, i)) return false;
  }
  return true;
}

}  // namespace slipring::crash

// Numbers as the wire has them: little-endian, unaligned, on any machine.
#pragma once

#include <concepts>
#include <cstddef>

namespace slipring::wire {

template <std::unsigned_integral Number>
[[nodiscard]] constexpr Number load_little(const std::byte* from) noexcept {
  Number number = 0;
  for (std::size_t i = sizeof number; i != 0; --i) {
    number = static_cast<Number>(number << 8 | std::to_integer<Number>(from[i - 1]));
  }
  return number;
}

template <std::unsigned_integral Number>
constexpr void store_little(std::byte* to, Number number) noexcept {
  for (std::size_t i = 0; i != sizeof(Number); ++i) {
    to[i] = static_cast<std::byte>(number >> 8 * i);
  }
}

}  // namespace slipring::wire

// An input, read from its front; behind its end there are zeros.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tests/fuzz/fuzz_random.h"

namespace slipring::fuzz {

class FuzzInput {
 public:
  explicit FuzzInput(std::span<const std::uint8_t> bytes) noexcept : bytes_(bytes) {}

  [[nodiscard]] std::uint8_t byte() noexcept {
    return at_ < bytes_.size() ? bytes_[at_++] : std::uint8_t{0};
  }
  [[nodiscard]] std::uint32_t half() noexcept {
    const std::uint32_t low = byte();
    return low | static_cast<std::uint32_t>(byte()) << 8;
  }
  [[nodiscard]] std::span<const std::uint8_t> rest() const noexcept { return bytes_.subspan(at_); }

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
};

// What is known about a word that a hostile peer is about to store.
struct Aim {
  std::uint64_t now;    // what stands there
  std::uint64_t right;  // what an honest peer might store
  std::uint64_t lap;    // the ring's length, in the word's unit
};

// What an attacker would try: values near what is right, near the laps before and behind, near the
// ends of the number range, single bits, and anything.  Three bytes of input.
[[nodiscard]] inline std::uint64_t hostile_value(FuzzInput& input, const Aim& aim) noexcept {
  const std::uint8_t way = input.byte();
  const std::uint32_t operand = input.half();
  const auto near = static_cast<std::uint64_t>(static_cast<std::int8_t>(operand));
  switch (way % 16) {
    case 0:
      return operand;
    case 1:
      return ~std::uint64_t{operand};
    case 2:
      return aim.right;
    case 3:
      return aim.right + near % 8;
    case 4:
      return aim.right - aim.lap + near % 4;
    case 5:
      return aim.right + aim.lap + near % 4;
    case 6:
      return aim.right + aim.lap * (operand >> 8) + near % 8;
    case 7:
      return (std::uint64_t{1} << 63) + near;
    case 8:
      return (std::uint64_t{1} << 32) + near;
    case 9:
      return aim.now ^ std::uint64_t{1} << operand % 64;
    case 10:
      return scattered(operand);
    case 11:
      return aim.right ^ (scattered(operand) & 0xffff);
    case 12:
      return aim.right << operand % 64;
    case 13:
      return aim.now + near;
    case 14:
      return aim.right + 8 * near;
    default:
      return aim.right | std::uint64_t{operand} << 48;
  }
}

}  // namespace slipring::fuzz

// xoshiro256**: small, fast, and the same numbers from the same seed everywhere.
// (Blackman and Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 2021.)
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace slipring::fuzz {

// One step of splitmix64: scatters a small number over 64 bits.
[[nodiscard]] constexpr std::uint64_t scattered(std::uint64_t number) noexcept {
  std::uint64_t z = number + 0x9e37'79b9'7f4a'7c15;
  z = (z ^ z >> 30) * 0xbf58'476d'1ce4'e5b9;
  z = (z ^ z >> 27) * 0x94d0'49bb'1331'11eb;
  return z ^ z >> 31;
}

class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept {
    for (std::uint64_t& word : state_) word = seed = scattered(seed);
  }

  [[nodiscard]] std::uint64_t next() noexcept {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }
  // Below `bound`, evenly enough.  Requires: bound != 0.
  [[nodiscard]] std::size_t below(std::size_t bound) noexcept {
    return static_cast<std::size_t>((next() >> 32) * bound >> 32);
  }
  void fill(std::span<std::uint8_t> bytes) noexcept {
    for (std::size_t at = 0; at < bytes.size(); at += 8) {
      const std::uint64_t word = next();
      const std::size_t left = bytes.size() - at;
      std::memcpy(bytes.data() + at, &word, left < 8 ? left : 8);
    }
  }

 private:
  std::uint64_t state_[4];
};

}  // namespace slipring::fuzz

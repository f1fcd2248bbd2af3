// What a thread knows: of each word, how old a store it may still read, and of each thread, which
// of its steps have happened before.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace slipring::model {

inline constexpr std::size_t kMaxFibres = 8;
inline constexpr std::size_t kMaxWords = 64;

// Folds a value into a hash; what a state or a past is made of.
[[nodiscard]] inline std::uint64_t mix(std::uint64_t hash, std::uint64_t value) noexcept {
  hash = (hash ^ value) * 0x9e37'79b9'7f4a'7c15 + 0x1234'5678'9abc'def1;
  return hash ^ (hash >> 29);
}

struct View {
  // Of each word the rank, in its modification order, of the oldest store that may be read.
  std::array<std::uint32_t, kMaxWords> seen{};
  // Of each fibre the last stretch of steps that happened before: decides what is a data race.  A
  // stretch ends with each release.
  std::array<std::uint32_t, kMaxFibres> clock{};

  void join_seen(const View& other) noexcept {
    for (std::size_t i = 0; i < kMaxWords; ++i) {
      seen[i] = seen[i] < other.seen[i] ? other.seen[i] : seen[i];
    }
  }
  // What is in `known` anyway makes no difference.
  [[nodiscard]] std::uint64_t hash(std::size_t word_count, const View& known) const noexcept {
    std::uint64_t hash = 0x71e3;
    for (std::size_t i = 0; i < word_count; ++i) {
      if (seen[i] > known.seen[i]) hash = mix(hash, (i << 32) | seen[i]);
    }
    for (std::size_t i = 0; i < kMaxFibres; ++i) {
      if (clock[i] > known.clock[i]) hash = mix(hash, ((i + kMaxWords) << 32) | clock[i]);
    }
    return hash;
  }
  // Leaves what both know.
  void meet(const View& other) noexcept {
    for (std::size_t i = 0; i < kMaxWords; ++i) {
      seen[i] = seen[i] < other.seen[i] ? seen[i] : other.seen[i];
    }
    for (std::size_t i = 0; i < kMaxFibres; ++i) {
      clock[i] = clock[i] < other.clock[i] ? clock[i] : other.clock[i];
    }
  }
  void join(const View& other) noexcept {
    join_seen(other);
    for (std::size_t i = 0; i < kMaxFibres; ++i) {
      clock[i] = clock[i] < other.clock[i] ? other.clock[i] : clock[i];
    }
  }
};

}  // namespace slipring::model

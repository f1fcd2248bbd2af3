// Messages whose every word can be checked, and the judge of what arrives.
//
// The message of sequence s begins with (s + 1) * kStep, never 0, and each further word is one
// more.  A wrong word is therefore told from a wrong order: kStep has an inverse, and a first word
// that does not come from a plausible sequence was never sent.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace slipring::bench {

inline constexpr std::uint64_t kStep = 0x9e37'79b9'7f4a'7c15U;

// kStep * inverse == 1 modulo 2^64, by Newton's iteration.
[[nodiscard]] constexpr std::uint64_t step_inverse() noexcept {
  std::uint64_t inverse = kStep;
  for (int i = 0; i < 6; ++i) inverse *= 2 - kStep * inverse;
  return inverse;
}
static_assert(step_inverse() * kStep == 1);

// Ends a stream; no plausible sequence has it.
inline constexpr std::uint64_t kEndMark = UINT64_MAX;

[[nodiscard]] constexpr std::uint64_t first_word(std::uint64_t sequence) noexcept {
  return (sequence + 1) * kStep;
}
[[nodiscard]] constexpr std::uint64_t sequence_of(std::uint64_t first) noexcept {
  return first * step_inverse() - 1;
}

template <std::size_t kBytes>
struct Message {
  static_assert(kBytes % 8 == 0 && kBytes >= 8);
  static constexpr std::size_t kWordCount = kBytes / 8;
  std::array<std::uint64_t, kWordCount> words;

  void set(std::uint64_t first) noexcept {
    for (std::size_t i = 0; i < kWordCount; ++i) words[i] = first + i;
  }
  [[nodiscard]] std::uint64_t first() const noexcept { return words[0]; }
  // Whether every word is what set(first) wrote.
  [[nodiscard]] bool is(std::uint64_t first) const noexcept {
    std::uint64_t difference = 0;
    for (std::size_t i = 0; i < kWordCount; ++i) difference |= words[i] ^ (first + i);
    return difference == 0;
  }
};

// The same for bytes of any size that is a multiple of 8, in place.
inline void set_bytes(std::span<std::byte> bytes, std::uint64_t first) noexcept {
  std::size_t at = 0;
  for (; at + 64 <= bytes.size(); at += 64) {
    Message<64> part;
    part.set(first + at / 8);
    std::memcpy(bytes.data() + at, &part, 64);
  }
  for (; at < bytes.size(); at += 8) {
    const std::uint64_t word = first + at / 8;
    std::memcpy(bytes.data() + at, &word, 8);
  }
}

[[nodiscard]] inline std::uint64_t first_of(std::span<const std::byte> bytes) noexcept {
  std::uint64_t first = 0;
  std::memcpy(&first, bytes.data(), 8);
  return first;
}

[[nodiscard]] inline bool bytes_are(std::span<const std::byte> bytes,
                                    std::uint64_t first) noexcept {
  std::uint64_t difference = 0;
  std::size_t at = 0;
  for (; at + 64 <= bytes.size(); at += 64) {
    Message<64> part;
    std::memcpy(&part, bytes.data() + at, 64);
    for (std::size_t i = 0; i < 8; ++i) difference |= part.words[i] ^ (first + at / 8 + i);
  }
  for (; at < bytes.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, 8);
    difference |= word ^ (first + at / 8);
  }
  return difference == 0;
}

struct Faults {
  std::uint64_t lost = 0;       // sent, never arrived
  std::uint64_t reordered = 0;  // arrived late, or twice
  std::uint64_t torn = 0;       // arrived with words that no message had

  [[nodiscard]] bool is_clean() const noexcept { return lost == 0 && reordered == 0 && torn == 0; }
};

// Holds the stream of one producer against what was sent.
class StreamJudge {
 public:
  [[nodiscard]] std::uint64_t expected_first() const noexcept { return expected_; }
  // The message was as expected_first() promised.
  void accept() noexcept {
    expected_ += kStep;
    ++received_;
  }
  // It was not.  `is_whole`: its further words follow from its first.
  void judge(std::uint64_t first, bool is_whole) noexcept {
    const std::uint64_t expected = sequence_of(expected_);
    const std::uint64_t sequence = sequence_of(first);
    if (!is_whole || sequence >= kPlausible) {
      ++faults_.torn;
      accept();
      return;
    }
    ++received_;
    if (sequence < expected) {
      ++faults_.reordered;
      return;
    }
    expected_ = first_word(sequence + 1);
  }

  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
  [[nodiscard]] Faults faults(std::uint64_t sent) const noexcept {
    Faults all = faults_;
    all.lost = sent > received_ ? sent - received_ : 0;
    return all;
  }

 private:
  static constexpr std::uint64_t kPlausible = std::uint64_t{1} << 44;

  std::uint64_t expected_ = first_word(0);
  std::uint64_t received_ = 0;
  Faults faults_;
};

}  // namespace slipring::bench

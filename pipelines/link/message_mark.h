// How many messages lie before a position of a record ring, in one word: what two words could not
// say consistently across a death.
//
// Format.  number:32 place:32, from the highest bit down: the messages before the position, and the
// position in units of 8 bytes, both modulo 2^32.  Zero is right for an empty ring.
//
// Crash.  A writer stores its mark after it has published: at most one message, the last, is not
// counted in it.  A reader has two marks and stores the one that does not hold before it finishes
// messages: always one of the two holds, and the other is not read.
//
// Ordering.  mark.A -> mark.B  a writer's mark: who sees it sees the tail that it is about.
#pragma once

#include <cstdint>

namespace slipring {

[[nodiscard]] constexpr std::uint64_t message_mark(std::uint32_t number,
                                                   std::uint64_t position) noexcept {
  return std::uint64_t{number} << 32 | static_cast<std::uint32_t>(position / 8);
}

// Whether the mark is about this position.
[[nodiscard]] constexpr bool holds_at(std::uint64_t mark, std::uint64_t position) noexcept {
  return static_cast<std::uint32_t>(mark) == static_cast<std::uint32_t>(position / 8);
}

[[nodiscard]] constexpr std::uint32_t number_of(std::uint64_t mark) noexcept {
  return static_cast<std::uint32_t>(mark >> 32);
}

// What a writer's mark says of its tail: the mark itself may be one message behind.
[[nodiscard]] constexpr std::uint32_t number_at(std::uint64_t mark, std::uint64_t tail) noexcept {
  return number_of(mark) + (holds_at(mark, tail) ? 0U : 1U);
}

}  // namespace slipring

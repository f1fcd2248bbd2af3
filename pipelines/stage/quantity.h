// Sizes and durations as people write and read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace slipring {

// "4096", "64KiB", "4 MiB", "1GiB"; nothing for anything else, or beyond 64 bits.
[[nodiscard]] std::optional<std::uint64_t> parse_size_bytes(std::string_view text) noexcept;

// "500ms", "10 s", "2min"; units ns, us, ms, s, min, h.  Nothing for anything else, or beyond 64
// bits.
[[nodiscard]] std::optional<std::uint64_t> parse_duration_ns(std::string_view text) noexcept;

// "4 MiB", "192 B": exact, in the largest unit that divides.
[[nodiscard]] std::string format_bytes(std::uint64_t size_bytes);
// "10 s", "500 ms": exact, in the largest unit that divides.
[[nodiscard]] std::string format_duration(std::uint64_t duration_ns);

}  // namespace slipring

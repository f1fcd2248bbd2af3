// Numbers as people read them, and as they write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace slipring::tools {

// Memory, in powers of 1024: "192 B", "4 MiB" when that is exact, "4.1 MiB" when it is not.
[[nodiscard]] std::string binary_size(std::uint64_t size_bytes);

// Counts and rates, in powers of 1000: "950", "12.3 k", "1.25 M".  `unit` follows: "3.40 MB".
[[nodiscard]] std::string si_amount(double amount, std::string_view unit = "");

// "41.2 us", "1.25 ms", "2.1 s".
[[nodiscard]] std::string latency(std::uint64_t duration_ns);

// "3 s", "5 min", "2 h", "12 d".
[[nodiscard]] std::string age(std::uint64_t duration_ns);

// `part` of `whole` as "37 %"; never 0 % or 100 % unless it is exactly that.
[[nodiscard]] std::string percentage(std::uint64_t part, std::uint64_t whole);

// A positive number of seconds, at most a year, "0.5" for example, as nanoseconds.
[[nodiscard]] std::optional<std::uint64_t> parse_seconds_ns(std::string_view text);

// "32x4MiB", also with the multiplication sign.
struct PoolSize {
  std::uint32_t buffer_count = 0;
  std::uint64_t buffer_bytes = 0;
};
[[nodiscard]] std::optional<PoolSize> parse_pool(std::string_view text);

}  // namespace slipring::tools

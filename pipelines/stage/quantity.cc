#include "pipelines/stage/quantity.h"

#include <charconv>
#include <span>
#include <utility>

namespace slipring {
namespace {

// Splits "10 ms" into its number and its unit.
struct Quantity {
  std::uint64_t number;
  std::string_view unit;
};

std::optional<Quantity> parse_quantity(std::string_view text) noexcept {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  if (unit.size() > 1 && unit.front() == ' ') unit.remove_prefix(1);
  return Quantity{number, unit};
}

struct Unit {
  std::string_view name;
  std::uint64_t scale;
};

std::optional<std::uint64_t> scaled(const Quantity& quantity,
                                    std::span<const Unit> units) noexcept {
  for (const Unit& unit : units) {
    if (quantity.unit != unit.name) continue;
    if (quantity.number > UINT64_MAX / unit.scale) return std::nullopt;
    return quantity.number * unit.scale;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> parse_size_bytes(std::string_view text) noexcept {
  constexpr Unit kUnits[] = {{"", 1},
                             {"B", 1},
                             {"KiB", std::uint64_t{1} << 10},
                             {"MiB", std::uint64_t{1} << 20},
                             {"GiB", std::uint64_t{1} << 30}};
  const auto quantity = parse_quantity(text);
  return quantity ? scaled(*quantity, kUnits) : std::nullopt;
}

std::optional<std::uint64_t> parse_duration_ns(std::string_view text) noexcept {
  constexpr Unit kUnits[] = {{"ns", 1},
                             {"us", 1'000},
                             {"ms", 1'000'000},
                             {"s", 1'000'000'000},
                             {"min", 60'000'000'000},
                             {"h", 3'600'000'000'000}};
  const auto quantity = parse_quantity(text);
  return quantity ? scaled(*quantity, kUnits) : std::nullopt;
}

std::string format_bytes(std::uint64_t size_bytes) {
  constexpr std::pair<const char*, int> kUnits[] = {{" GiB", 30}, {" MiB", 20}, {" KiB", 10}};
  for (const auto& [unit, shift] : kUnits) {
    const std::uint64_t scale = std::uint64_t{1} << shift;
    if (size_bytes >= scale && size_bytes % scale == 0) {
      return std::to_string(size_bytes >> shift) + unit;
    }
  }
  return std::to_string(size_bytes) + " B";
}

std::string format_duration(std::uint64_t duration_ns) {
  constexpr std::pair<const char*, std::uint64_t> kUnits[] = {{" h", 3'600'000'000'000},
                                                              {" min", 60'000'000'000},
                                                              {" s", 1'000'000'000},
                                                              {" ms", 1'000'000},
                                                              {" us", 1'000}};
  for (const auto& [unit, scale] : kUnits) {
    if (duration_ns >= scale && duration_ns % scale == 0) {
      return std::to_string(duration_ns / scale) + unit;
    }
  }
  return std::to_string(duration_ns) + " ns";
}

}  // namespace slipring

#include "tools/cli/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "pipelines/stage/pipeline_file.h"
#include "pipelines/stage/quantity.h"

namespace slipring::tools {
namespace {

constexpr double kLongestSeconds = 366.0 * 24 * 3600;

// Three digits, as many of them behind the point as fit.
std::string three_digits(double amount) {
  std::array<char, 32> text{};
  const int decimals = amount < 9.995 ? 2 : amount < 99.95 ? 1 : 0;
  std::snprintf(text.data(), text.size(), "%.*f", decimals, amount);
  return text.data();
}

}  // namespace

std::string binary_size(std::uint64_t size_bytes) {
  constexpr std::array<const char*, 7> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  std::uint64_t scale = 1;
  while (unit + 1 < kUnits.size() && size_bytes / scale >= 1024) {
    scale *= 1024;
    ++unit;
  }
  std::array<char, 48> text{};
  if (size_bytes % scale == 0) {
    std::snprintf(text.data(), text.size(), "%llu %s",
                  static_cast<unsigned long long>(size_bytes / scale), kUnits[unit]);
  } else {
    const double amount = static_cast<double>(size_bytes) / static_cast<double>(scale);
    std::snprintf(text.data(), text.size(), "%.*f %s", amount < 99.95 ? 1 : 0, amount,
                  kUnits[unit]);
  }
  return text.data();
}

std::string si_amount(double amount, std::string_view unit) {
  constexpr std::array<const char*, 7> kPrefixes = {"", "k", "M", "G", "T", "P", "E"};
  std::size_t prefix = 0;
  while (prefix + 1 < kPrefixes.size() && amount >= 999.5) {
    amount /= 1000;
    ++prefix;
  }
  std::string text;
  if (prefix == 0) {
    std::array<char, 32> number{};
    const bool whole = amount >= 9.95 || amount == std::floor(amount);
    std::snprintf(number.data(), number.size(), whole ? "%.0f" : "%.1f", amount);
    text = number.data();
  } else {
    text = three_digits(amount);
  }
  if (prefix != 0 || !unit.empty()) text += ' ';
  return text + kPrefixes[prefix] + std::string(unit);
}

std::string latency(std::uint64_t duration_ns) {
  const auto amount = static_cast<double>(duration_ns);
  if (duration_ns < 1'000) return std::to_string(duration_ns) + " ns";
  if (amount < 999.5e3) return three_digits(amount / 1e3) + " us";
  if (amount < 999.5e6) return three_digits(amount / 1e6) + " ms";
  return three_digits(amount / 1e9) + " s";
}

std::string age(std::uint64_t duration_ns) {
  const std::uint64_t seconds = duration_ns / 1'000'000'000;
  if (seconds < 120) return std::to_string(seconds) + " s";
  if (seconds < 120 * 60) return std::to_string(seconds / 60) + " min";
  if (seconds < 48 * 3600) return std::to_string(seconds / 3600) + " h";
  return std::to_string(seconds / 86400) + " d";
}

std::string percentage(std::uint64_t part, std::uint64_t whole) {
  if (whole == 0 || part == 0) return "0 %";
  if (part >= whole) return "100 %";
  const auto share =
      static_cast<int>(std::lround(100.0 * static_cast<double>(part) / static_cast<double>(whole)));
  return std::to_string(share < 1 ? 1 : share > 99 ? 99 : share) + " %";
}

std::optional<std::uint64_t> parse_seconds_ns(std::string_view text) {
  double seconds = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  const bool whole = fault == std::errc{} && end == text.data() + text.size();
  if (!whole || !std::isfinite(seconds) || seconds < 1e-9 || seconds > kLongestSeconds) {
    return std::nullopt;
  }
  return static_cast<std::uint64_t>(seconds * 1e9);
}

std::optional<PoolSize> parse_pool(std::string_view text) {
  PoolSize pool;
  const auto [end, fault] =
      std::from_chars(text.data(), text.data() + text.size(), pool.buffer_count);
  if (fault != std::errc{} || pool.buffer_count == 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  constexpr std::string_view kTimes = "\u00d7";
  if (text.substr(0, kTimes.size()) == kTimes) {
    text.remove_prefix(kTimes.size());
  } else if (!text.empty() && (text.front() == 'x' || text.front() == 'X')) {
    text.remove_prefix(1);
  } else {
    return std::nullopt;
  }
  const std::optional<std::uint64_t> size_bytes = parse_size_bytes(text);
  if (!size_bytes || *size_bytes == 0) return std::nullopt;
  pool.buffer_bytes = *size_bytes;
  return pool;
}

}  // namespace slipring::tools

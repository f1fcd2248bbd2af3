// What was measured of one way of looking for commands, at one interval.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace slipring::bench {

struct IntervalRow {
  const char* way = "";
  std::uint32_t interval = 0;  // messages from one look to the next
  double overhead_ns = 0;      // a message: median, less the median without looks
  double message_ns = 0;       // a message, looks included
  // Of the commands that a look found before the queue was empty:
  double notice_p50_ns = 0;  // from the command to the look that found it
  double notice_p99_ns = 0;
  double wasted_p50 = 0;  // messages finished in that time, counted
  double wasted_p99 = 0;
  double wasted_mean = 0;
  std::uint32_t round_count = 0;    // of these commands
  std::uint32_t command_count = 0;  // of all

  // Of few, the figures would be those of the lucky ones.
  [[nodiscard]] bool is_telling() const noexcept { return round_count * 2 >= command_count; }
};

struct BlockedRow {
  const char* way = "";
  double notice_p50_ns = 0;
  double notice_p99_ns = 0;
  std::uint32_t round_count = 0;
};

struct IntervalTable {
  std::vector<IntervalRow> rows;
  std::vector<BlockedRow> blocked;
  double bare_message_ns = 0;
  std::uint64_t messages_checked = 0;
  std::uint64_t torn = 0;
};

[[nodiscard]] std::string interval_text(const IntervalTable& table);
[[nodiscard]] std::string interval_json(const IntervalTable& table);
// Overhead, what is processed in vain, and the time to notice, over the interval; light and dark.
// Rows that are not telling leave gaps.
[[nodiscard]] std::string interval_plot(const IntervalTable& table, const std::string& caption);

}  // namespace slipring::bench

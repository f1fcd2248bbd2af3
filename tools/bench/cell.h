// The table of what is measured: workloads, contenders, and a function for every pair that exists.
//
// A cell is one pair.  It runs in a process of its own and prints its result as lines of text,
// which the runner (tools/bench/runner.h) reads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/bench/histogram.h"
#include "tools/bench/message.h"

namespace slipring::bench {

struct CellSettings {
  std::uint64_t duration_ns = 100'000'000;
  std::uint32_t cpu_here = 0;
  std::uint32_t cpu_there = 1;  // the same as cpu_here on a machine with one processor
};

// How long a measurement may stand still before it counts as stalled.
inline constexpr std::uint64_t kStallNs = 1'000'000'000;

struct CellResult {
  double value = 0;  // in the workload's unit
  std::uint64_t message_count = 0;
  Faults faults;
  bool stalled = false;
  std::string skipped;          // why it was not measured; empty when it was
  double bounce_before_ns = 0;  // one cache line there and back
  double bounce_after_ns = 0;
  double resolution_ns = 0;  // of the ticks in `latency`
  double ns_per_tick = 1;
  Histogram latency;                                   // in ticks; empty for workloads without
  std::vector<std::pair<std::string, double>> extras;  // by name without spaces

  [[nodiscard]] std::string to_text() const;
  // Nothing when `text` is no whole result: the process died while it wrote, or before.
  [[nodiscard]] static std::optional<CellResult> from_text(std::string_view text);
};

enum class Unit : std::uint8_t {
  kMessagesPerSecond,  // more is better
  kBytesPerSecond,     // more is better
  kNanoseconds,        // less is better
  kRatio,              // more is better
  kPercent,            // less is better
  kInstructions,       // less is better
};
[[nodiscard]] constexpr bool more_is_better(Unit unit) noexcept {
  return unit == Unit::kMessagesPerSecond || unit == Unit::kBytesPerSecond || unit == Unit::kRatio;
}

struct Workload {
  const char* id;     // "spsc8.1k": letters, digits, dots, dashes
  const char* title;  // "SPSC 8 B, one at a time, 1024 slots"
  const char* group;  // the section of the page
  Unit unit;
  std::uint32_t message_bytes;
};

enum class Family : std::uint8_t { kOurs, kPeer, kKernel, kRaw };

struct Contender {
  const char* id;     // "atomic-queue.try"
  const char* title;  // "atomic_queue, try"
  Family family;
  const char* remark;  // what a reader of the figures must know; may be empty
};

using CellFunction = CellResult (*)(const CellSettings& settings);

struct Cell {
  const Workload* workload;
  const Contender* contender;
  CellFunction run;
};

class Registry {
 public:
  // `workload` is an id of workloads(); `contender` outlives the registry.
  void add(std::string_view workload, const Contender& contender, CellFunction run);
  [[nodiscard]] const std::vector<Cell>& cells() const noexcept { return cells_; }
  // "WORKLOAD/CONTENDER"
  [[nodiscard]] const Cell* find(std::string_view name) const noexcept;

 private:
  std::vector<Cell> cells_;
};

// Every workload, in the order of the page.
[[nodiscard]] const std::vector<Workload>& workloads();
[[nodiscard]] const Workload* find_workload(std::string_view id) noexcept;

[[nodiscard]] std::string cell_name(const Cell& cell);

// Runs it between two probes of the cache line's bounce, and prints its result to stdout.  Answers
// the exit status of the process: 0 when it was measured or skipped with a reason.
int run_cell_here(const Cell& cell, const CellSettings& settings);

}  // namespace slipring::bench

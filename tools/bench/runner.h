// Measures cells side by side: every repetition in a process of its own, in the order A B C … C B A
// within a workload, so that whatever drifts touches all alike.
//
// Far.  The host of a virtual machine moves its processors about; far apart, everything is several
// times slower.  A cell probes the bounce of one line before and after it ran, and counts as far
// when one of these is beyond kFarFactor times the run's near bounce, which is what the best tenth
// of all its probes reached.  Far repetitions are repeated at the end, when the host may have
// thought better of it, as long as the budget lasts; those that stay far are marked, and left out
// of the median as long as a near one is there.
//
// Stalled.  A process that prints no result before its deadline is ended with all that it started;
// its repetition counts as 0, and is marked.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tools/bench/cell.h"

namespace slipring::bench {

inline constexpr double kFarFactor = 1.6;

struct RunnerOptions {
  // This program's arguments in front of "--cell NAME --duration-ns N --cpus A,B".
  std::vector<std::string> arguments;
  CellSettings settings;
  std::uint32_t repetition_count = 5;
  std::uint64_t budget_ns = 480'000'000'000;  // no repetition begins later
  // Told before every repetition: how many are done, how many there are, and which comes.
  std::function<void(std::size_t done, std::size_t total, const std::string& name)> progress;
};

struct Summary {
  double median = 0;
  double least = 0;
  double most = 0;
};
[[nodiscard]] Summary summarise(std::vector<double> values);

// A cell's repetitions.
struct Measured {
  const Cell* cell = nullptr;
  std::vector<CellResult> repetitions;
  std::uint32_t far_count = 0;  // those that stayed far; filled in at the end of the run
  std::uint32_t stall_count = 0;
  bool is_far = false;   // no near one: compare with care
  Summary value;         // of the near ones; of all when none is near
  Faults faults;         // of all
  Histogram latency_ns;  // of the same as `value`
  std::string skipped;

  [[nodiscard]] bool was_measured() const noexcept { return !repetitions.empty(); }
};

struct RunOutcome {
  std::vector<Measured> measured;  // in the order of the cells given
  double best_bounce_ns = 0;       // the near bounce: a tenth of all probes did no worse
  double first_bounce_ns = 0;
  double last_bounce_ns = 0;
  std::uint32_t redone_count = 0;
  std::uint32_t far_count = 0;
  std::uint32_t left_out_count = 0;  // repetitions that the budget did not allow
  std::uint64_t message_count = 0;   // all of them checked
  double duration_s = 0;
};

[[nodiscard]] bool is_far(const CellResult& result, double best_bounce_ns) noexcept;

// One repetition in a process of its own.
[[nodiscard]] CellResult run_in_process(const Cell& cell, const RunnerOptions& options);

[[nodiscard]] RunOutcome run_cells(const std::vector<const Cell*>& cells,
                                   const RunnerOptions& options);

// Chooses from repetitions what counts: near ones, their median, all their faults.
void settle(Measured& measured, double best_bounce_ns);

// The other end of run_in_process: runs the cell that `arguments` name, if they name one.
struct CellRequest {
  std::string name;  // empty: no cell is asked for
  CellSettings settings;
};
[[nodiscard]] int answer_cell_request(const Registry& registry, const CellRequest& request);

// "0,1"; false when it is nothing of the kind.
[[nodiscard]] bool parse_cpus(const std::string& text, CellSettings& settings);

}  // namespace slipring::bench

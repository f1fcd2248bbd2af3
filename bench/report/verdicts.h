// The goals that the rings were built for, held against one run's figures.
#pragma once

#include <string>
#include <vector>

#include "tools/bench/runner.h"

namespace slipring::bench {

enum class Won : std::uint8_t { kYes, kNo, kUnknown };

struct Verdict {
  std::string workload;  // what is asked
  std::string goal;      // "≥ 2 × the best peer with a real try"
  std::string ours;      // our figure, with its contender
  std::string against;   // the figure that it is held against, with its contender
  double ratio = 0;      // the goal's measure; 0 when unknown
  double wanted = 0;     // what it should be at least, or at most
  bool at_most = false;
  Won won = Won::kUnknown;
  std::string remark;
};

[[nodiscard]] std::vector<Verdict> judge_goals(const RunOutcome& outcome);

// "681 M/s", "4.10 GiB/s", "120 ns", "0.97", "0.3 %", "31".
[[nodiscard]] std::string figure_text(double value, Unit unit);

// Lost, reordered, torn, or stalled: "stalls", "12 lost, 3 torn"; empty when it kept every promise.
[[nodiscard]] std::string fault_text(const Measured& measured);

}  // namespace slipring::bench

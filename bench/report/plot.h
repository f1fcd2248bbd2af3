// Drawings of a run as SVG text.
#pragma once

#include <string>
#include <vector>

#include "tools/bench/runner.h"

namespace slipring::bench {

[[nodiscard]] std::string escaped(std::string_view text);

// "ours", "peer", "kernel", "raw": the class that the style gives its colour.
[[nodiscard]] const char* family_class(Family family);

// The measured cells of one workload, the best first.
[[nodiscard]] std::vector<const Measured*> ranked(const RunOutcome& outcome,
                                                  std::string_view workload);

// Percentiles from p50 to p99.99 of one workload's contenders, each a line; empty without any.
[[nodiscard]] std::string latency_curves(const RunOutcome& outcome, std::string_view workload);

// The best of each of a few workloads, as a file of its own for a README; light and dark.
[[nodiscard]] std::string main_plot(const RunOutcome& outcome, const std::string& caption);

}  // namespace slipring::bench

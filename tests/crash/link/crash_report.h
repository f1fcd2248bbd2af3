// A list of operations walked one after the other, and what came of it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/crash/link/crash_walk.h"

namespace slipring::crash {

struct Report {
  Tally sum;
  std::vector<std::string> lines;     // one an operation
  std::vector<std::string> failures;  // the first few of each
};

// `go_on` is asked before each operation.
[[nodiscard]] inline Report walk_all(
    const std::vector<Operation>& operations, const WalkOptions& options,
    const std::function<bool()>& go_on = [] { return true; }) {
  Report report;
  report.sum.name = "all";
  for (const Operation& operation : operations) {
    if (!go_on()) break;
    Verdict verdict;
    Tally tally = walk(operation, options, verdict);
    report.lines.push_back(tally.text());
    report.failures.insert(report.failures.end(), verdict.failures().begin(),
                           verdict.failures().end());
    // Whether a sleep can be met before its deadline is the clock's business.
    if (operation.sleeps) tally.missed = 0;
    report.sum.add(tally);
  }
  return report;
}

}  // namespace slipring::crash

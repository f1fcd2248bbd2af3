// A walk as a test has it: printed, and every count checked.
#pragma once

#include <vector>

#include <doctest/doctest.h>

#include "tests/crash/link/crash_report.h"

namespace slipring::crash {

inline void walk_and_check(const std::vector<Operation>& operations, const WalkOptions& options) {
  const Report report = walk_all(operations, options);
  for (const std::string& line : report.lines) MESSAGE(line);
  for (const std::string& failure : report.failures) FAIL_CHECK(failure);
  MESSAGE(report.sum.text());
  CHECK(report.sum.violations == 0);
  CHECK(report.sum.is_whole());
  CHECK(report.sum.missed == 0);
  CHECK(report.sum.kills >= report.sum.classes);
}

inline constexpr WalkOptions kInCi{
    .stride = 100, .stop_every = 1, .long_operation = 8'000, .drawn_kills = 2, .seed = 1};

}  // namespace slipring::crash

// A walk as a test has it: printed, and every count checked.
#pragma once

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/crash/link/crash_report.h"

namespace slipring::crash {

// Attaching and creating is the same code for every sort of link but for some hundred instructions:
// a test steps through two sorts, and takes the others from system call to system call.
[[nodiscard]] inline bool is_alike(const Operation& operation) {
  const auto has = [&](const char* word) { return operation.name.find(word) != std::string::npos; };
  return (has("records") || has("pool")) && (has("attach") || has("succeed") || has("create"));
}

inline void walk_and_check(const std::vector<Operation>& operations, const WalkOptions& options) {
  std::vector<Operation> stepped;
  std::vector<Operation> alike;
  for (const Operation& operation : operations) {
    (is_alike(operation) ? alike : stepped).push_back(operation);
  }
  Report report = walk_all(stepped, options);
  const Report calls =
      walk_all(alike, {.stop_every = 2, .calls_only = true, .drawn_kills = 0, .seed = 1});
  report.lines.insert(report.lines.end(), calls.lines.begin(), calls.lines.end());
  report.failures.insert(report.failures.end(), calls.failures.begin(), calls.failures.end());
  report.sum.add(calls.sum);
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

// Runs targets for a long time, in processes of their own, and says what happened.
//
// A worker a core runs one target's executions one after another; what it counts, and the input
// that it is about to run, lie in memory that it shares with the watcher.  So a worker may crash or
// hang: the watcher has the input, kills the worker if it must, and the campaign says so.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz_target.h"

namespace slipring::fuzz {

struct CampaignOptions {
  std::uint64_t seed = 1;
  double seconds = 0;            // a target at most; 0: no limit
  std::uint64_t executions = 0;  // a target at most, over all workers; 0: no limit
  std::uint32_t worker_count = 1;
  double hang_seconds = 20;       // an execution that takes longer hangs
  std::FILE* progress = nullptr;  // a line now and then
};

enum class FindingKind : std::uint8_t { kBroken, kCrash, kHang };

struct CampaignFinding {
  FindingKind kind;
  std::string what;
  std::vector<std::uint8_t> input;
  std::uint64_t executions = 0;  // of that worker, up to this one
};

struct CampaignReport {
  std::uint64_t executions = 0;
  double seconds = 0;
  Tally tally;
  std::vector<CampaignFinding> findings;  // a worker ends with its first one
};

[[nodiscard]] CampaignReport run_campaign(const TargetInfo& target, const CampaignOptions& options);

// "0a1b…", and back; nothing for what is no such text.
[[nodiscard]] std::string hex_of(std::span<const std::uint8_t> bytes);
[[nodiscard]] std::vector<std::uint8_t> bytes_of(const std::string& hex);

}  // namespace slipring::fuzz

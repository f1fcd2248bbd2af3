// Power cuts at every instant of a workload: what the disks may hold then, each with members
// missing, assembled again and compared with what was promised.
//
// A cut falls into one run of disk commands.  What was answered as durable before is there; every
// sector written since may hold any of its versions.  Where few sectors are unstable all choices
// are tried; above that all, none, every one alone, all but every one, prefixes, and random ones.
//
// The oracle: each block says which version it is.  A block may hold the version of its last
// answered write, or of the write that is under way, and nothing else; all rows are consistent.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "pipelines/array/raid/raid_array.h"
#include "tests/pipelines/array/raid/simulated_disks.h"

namespace slipring::array::test {

struct PowerCutOptions {
  RaidLevel level = RaidLevel::kSingleParity;
  std::uint32_t member_count = 4;
  std::uint32_t sector_bytes = 512;
  std::uint64_t seed = 1;
  std::uint32_t steps = 12;              // of the workload
  std::uint32_t exhaustive_sectors = 6;  // so many unstable sectors are tried in every way
  std::uint32_t samples = 10;            // random choices where there are more
  std::uint32_t cuts_in_recovery = 2;    // samples of a second cut, during the assembly
  bool loses_member = false;             // one fails in the middle, another is put in its place
  bool returns_stale = false;            // what was missing comes back later
  PlantedFault planted = PlantedFault::kNone;
};

struct PowerCutReport {
  std::uint64_t cuts = 0;        // runs of commands that a cut fell into
  std::uint64_t states = 0;      // of the disks, after a cut
  std::uint64_t assemblies = 0;  // each state with each set of missing members
  std::uint64_t nested = 0;      // cuts during an assembly
  std::uint64_t exhaustive_cuts = 0;
  std::uint64_t replayed_groups = 0;
  std::uint64_t zeroings = 0;
  std::uint64_t blocks_checked = 0;
  std::uint64_t violations = 0;
  std::string first_violation;
};

// Runs the workload with cuts everywhere.  Stops at the first violation.
PowerCutReport run_power_cuts(const PowerCutOptions& options);

}  // namespace slipring::array::test

#include "tests/pipelines/array/raid/power_cut.h"

#include <doctest/doctest.h>

namespace slipring::array::test {
namespace {

PowerCutOptions small(RaidLevel level, std::uint32_t members, std::uint32_t sector_bytes) {
  PowerCutOptions options;
  options.level = level;
  options.member_count = members;
  options.sector_bytes = sector_bytes;
  options.steps = 5;
  options.samples = 4;
  options.returns_stale = true;
  return options;
}

void expect_nothing_lost(const PowerCutOptions& options) {
  const PowerCutReport report = run_power_cuts(options);
  MESSAGE(report.cuts << " cuts, " << report.assemblies << " assemblies, " << report.blocks_checked
                      << " blocks: " << report.violations << " violations");
  CHECK_MESSAGE(report.violations == 0, report.first_violation);
  CHECK(report.exhaustive_cuts > 0);
  CHECK(report.replayed_groups > 0);
  CHECK(report.zeroings > 0);
  CHECK(report.blocks_checked > 1000);
}

void expect_seen(PlantedFault fault, const PowerCutOptions& base) {
  PowerCutOptions options = base;
  options.planted = fault;
  for (options.seed = 1; options.seed <= 8; ++options.seed) {
    if (run_power_cuts(options).violations != 0) return;
  }
  FAIL("a planted fault was not seen: " << static_cast<int>(fault));
}

}  // namespace

TEST_CASE("power cut: RAID-5, sectors of 512 bytes, and each member missing") {
  expect_nothing_lost(small(RaidLevel::kSingleParity, 3, 512));
}

TEST_CASE("power cut: RAID-5, sectors of 4096 bytes") {
  expect_nothing_lost(small(RaidLevel::kSingleParity, 4, 4096));
}

TEST_CASE("power cut: RAID-6, and each two members missing") {
  expect_nothing_lost(small(RaidLevel::kDoubleParity, 5, 4096));
}

TEST_CASE("power cut: a member fails, is replaced and rebuilt") {
  PowerCutOptions options = small(RaidLevel::kSingleParity, 4, 4096);
  options.steps = 10;
  options.loses_member = true;
  expect_nothing_lost(options);
}

TEST_CASE("power cut: rows written before their log are seen") {
  expect_seen(PlantedFault::kLogAfterData, small(RaidLevel::kSingleParity, 3, 4096));
}

TEST_CASE("power cut: a log that is not waited for is seen") {
  expect_seen(PlantedFault::kLogNotDurable, small(RaidLevel::kSingleParity, 3, 4096));
}

TEST_CASE("power cut: a checkpoint without a sync is seen") {
  PowerCutOptions options = small(RaidLevel::kSingleParity, 3, 4096);
  options.steps = 8;
  expect_seen(PlantedFault::kNoSyncAtCheckpoint, options);
}

TEST_CASE("power cut: rows that become zeros without a word in the log are seen") {
  expect_seen(PlantedFault::kZeroNotLogged, small(RaidLevel::kSingleParity, 3, 4096));
}

TEST_CASE("power cut: a stale member that is taken for current is seen") {
  expect_seen(PlantedFault::kStaleMemberTaken, small(RaidLevel::kSingleParity, 3, 4096));
}

}  // namespace slipring::array::test

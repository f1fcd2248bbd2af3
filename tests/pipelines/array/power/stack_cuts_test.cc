// As a campaign, in one line, over so many recorded runs; SLIPRING_CUTS says at how many instants a
// long one is cut (0: all; 300 unless said), a short one is cut at all of them:
//   bazel test -c opt //tests/pipelines/array/power:stack_cuts_test --test_arg=-tc='campaign*'
//     --test_env=SLIPRING_RUNS=100 --test_env=SLIPRING_SEED=1 --test_timeout=36000
//     --test_output=streamed

#include "tests/pipelines/array/power/stack_cuts.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/pipelines/array/nbd/served_array.h"

namespace slipring::array::test {
namespace {

using slipring::test::setting;

void say(const std::string& what, const StackCutReport& report) {
  CHECK_MESSAGE(report.violations == 0, report.first_violation);
  MESSAGE(what, ": ", report.instants, " instants, ", report.cuts, " cuts (",
          report.exhaustive_cuts, " in every way), ", report.states, " states, ", report.assemblies,
          " assemblies, ", report.starts, " starts of the whole array, ", report.sectors_compared,
          " sectors compared, ", report.safe_sectors, " of them promised: ", report.violations,
          " violations");
}

void expect_nothing_lost(std::uint32_t level, const char* engine) {
  RecordedRunOptions options;
  options.level = level;
  options.engine = engine;
  StackCutOptions cuts;
  cuts.cuts = level == 5 ? 10 : 5;
  cuts.samples = 3;
  cuts.starts = 1;
  const RecordedRun run(options);
  say(level == 5 ? "RAID-5" : "RAID-6", cut_everywhere(run, cuts));
}

// Planted faults are seen in one of a few runs.
void expect_seen(const std::string& cache_fault, const std::string& raid_fault) {
  RecordedRunOptions options;
  options.cache_fault = cache_fault;
  options.raid_fault = raid_fault;
  StackCutOptions cuts;
  cuts.cuts = 150;
  for (options.seed = 1; options.seed <= 8; ++options.seed) {
    const RecordedRun run(options);
    const StackCutReport report = cut_everywhere(run, cuts);
    if (report.violations == 0) continue;
    MESSAGE("seen, ", report.cuts, " cuts: ", report.first_violation);
    return;
  }
  FAIL_CHECK("a planted fault was not seen: " << cache_fault << ", " << raid_fault);
}

TEST_CASE("power cut of the whole array: RAID-5, each disk missing") {
  expect_nothing_lost(5, "auto");
}

TEST_CASE("power cut of the whole array: RAID-6, each two disks missing") {
  expect_nothing_lost(6, "plain");
}

TEST_CASE("planted: a flush that does not wait is seen") {
  expect_seen("flush-no-wait", "none");
}

TEST_CASE("planted: a flush that is answered before dirty blocks are written is seen") {
  expect_seen("flush-forgets", "none");
}

TEST_CASE("planted: FUA treated as any write is seen") {
  expect_seen("no-fua", "none");
}

TEST_CASE("planted: a log that is written after the rows is seen") {
  expect_seen("none", "log-after-data");
}

TEST_CASE("planted: a log that is not waited for is seen") {
  expect_seen("none", "log-not-durable");
}

TEST_CASE("campaign: every instant of many runs") {
  const std::uint32_t runs = setting("SLIPRING_RUNS", 0);
  StackCutReport all;
  for (std::uint64_t i = 0; i < runs && all.violations == 0; ++i) {
    RecordedRunOptions options;
    options.seed = setting("SLIPRING_SEED", 1) + i;
    options.level = options.seed % 2 == 0 ? 6 : 5;
    options.engine = options.seed % 4 < 2 ? "auto" : "plain";
    options.disk_mib = options.seed % 3 == 0 ? 4 : 2;
    StackCutOptions cuts;
    cuts.cuts = setting("SLIPRING_CUTS", 300);
    cuts.starts = 3;
    // Every other run is short, for small flush epochs, and has larger sectors: all that it could
    // leave can be tried.
    if (options.seed / 2 % 2 == 0) {
      options.requests = 12;
      options.disk_mib = 2;
      cuts.cuts = 0;
      cuts.sector_bytes = 4096;
      cuts.exhaustive_sectors = 10;
    }
    const RecordedRun run(options);
    all.add(cut_everywhere(run, cuts));
    say("so far", all);
  }
}

// It takes hundreds of cuts, so that it is not for every day; power_cut_test sees the same fault.
TEST_CASE("campaign, planted: a log that is given up before the rows are synced is seen") {
  if (setting("SLIPRING_RUNS", 0) != 0) expect_seen("none", "no-checkpoint-sync");
}

}  // namespace
}  // namespace slipring::array::test

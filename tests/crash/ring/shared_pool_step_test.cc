// The shared pool: whoever dies or stops at any instruction, the reaper included.

#include <doctest/doctest.h>

#include "tests/crash/ring/check_rows.h"
#include "tests/crash/ring/shared_pool_experiments.h"

namespace slipring::crash {
namespace {

TEST_CASE("shared pool: whoever dies or stops at any instruction") {
  check_rows(shared_pool_table(Extent::kTest));
}

Findings findings_of(PoolPlant plant, PoolWay way) {
  const Tally tally = PoolExperiments(plant).operation(way);
  MESSAGE(tally.kill_count, " kills, ", tally.stop_count, " stops: ", tally.findings.total(),
          " wrong ", tally.findings.first());
  return tally.findings;
}

TEST_CASE("planted: a reaper that frees what a ring delivers: lost") {
  CHECK(findings_of(PoolPlant::kNeverCarried, PoolWay::kSend).of(Oracle::kLost) > 0);
  CHECK(findings_of(PoolPlant::kNeverCarried, PoolWay::kReceive).of(Oracle::kLost) > 0);
}
TEST_CASE("planted: a reaper that keeps what no ring has: a leak") {
  CHECK(findings_of(PoolPlant::kAlwaysCarried, PoolWay::kSend).of(Oracle::kLeak) > 0);
}
TEST_CASE("planted: a reaper that ends the holds of the living: torn") {
  CHECK(findings_of(PoolPlant::kWipesLivingMarks, PoolWay::kRetire).of(Oracle::kTorn) > 0);
}
TEST_CASE("planted: a handle taken off the ring before its buffer is claimed: a leak") {
  CHECK(findings_of(PoolPlant::kReleasesFirst, PoolWay::kReceive).of(Oracle::kLeak) > 0);
}

}  // namespace
}  // namespace slipring::crash

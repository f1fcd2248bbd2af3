#include <doctest/doctest.h>

#include <string>

#include "tests/pipelines/array/appliance/array_run.h"

namespace slipring::array::test {

TEST_CASE("array: stages killed under load, and every answered write is there") {
  ArrayRunOptions options;
  options.disks = 3;
  const KillReport report = run_kills(options, 12);
  CHECK_MESSAGE(report.problem.empty(), report.problem);
  CHECK(report.kills == 12);
  CHECK(report.violations == 0);
  CHECK(report.sectors_checked > 1000);
  CHECK(report.large_zeroes > 0);
  CHECK(report.zeroed_rows > 0);
  MESSAGE(report.kills << " kills, " << report.answered_writes << " answered writes, "
                       << report.sectors_checked << " sectors compared: " << report.violations
                       << " violations");
}

// Zeroes bring no buffer by which a second delivery would be known: their sequence alone says that
// they were done, and that what was written over them since must stay.
TEST_CASE("array: a cache that does again what is delivered again is seen") {
  ArrayRunOptions options;
  options.disks = 3;
  options.planted = "replay";
  options.area_kib = 512;
  options.kills_cache_alone = true;
  for (options.seed = 1; options.seed <= 4; ++options.seed) {
    const KillReport report = run_kills(options, 40);
    if (report.violations != 0 || report.problem.find("violation:") != std::string::npos) return;
    REQUIRE_MESSAGE(report.problem.empty(), report.problem);
  }
  FAIL("a planted fault was not seen");
}

}  // namespace slipring::array::test

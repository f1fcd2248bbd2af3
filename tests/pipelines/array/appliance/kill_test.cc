#include <doctest/doctest.h>

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
  MESSAGE(report.kills << " kills, " << report.answered_writes << " answered writes, "
                       << report.sectors_checked << " sectors compared: " << report.violations
                       << " violations");
}

}  // namespace slipring::array::test

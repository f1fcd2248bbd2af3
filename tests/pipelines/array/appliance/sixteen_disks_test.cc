// As many disks as an array may have: RAID-6 over sixteen, under the load, two of them gone,
// replaced and rebuilt, stages killed meanwhile, and everything compared by another run.
#include <doctest/doctest.h>

#include <string>

#include "tests/pipelines/array/appliance/array_run.h"

namespace slipring::array::test {
namespace {

// More answers of the load than there are now.
bool goes_on(const ArrayRun& run) {
  return run.wait_for("load", "answered", run.number("load", "answered") + 50);
}

void replace(ArrayRun& run, const std::string& number) {
  const std::string disk = "disk" + number;
  REQUIRE(run.tell(disk, "replace " + run.path("new" + number + ".img")));
  REQUIRE_MESSAGE(run.wait_for(disk, "is_usable", 1), run.log());
  REQUIRE(run.tell("raid", "replace " + number));
  // One at a time: it is 2 while it is rebuilt.
  REQUIRE_MESSAGE(run.wait_until("raid", disk + "_state", 1), run.log());
}

}  // namespace

TEST_CASE("array: RAID-6 over sixteen disks loses two, and is whole again") {
  ArrayRun run;
  ArrayRunOptions options;
  options.level = 6;
  options.disks = 16;
  options.area_kib = 4096;
  REQUIRE_MESSAGE(run.start(options), run.problem());
  REQUIRE(goes_on(run));
  for (const char* disk : {"disk3", "disk15"}) REQUIRE(run.tell(disk, "fail"));
  REQUIRE(goes_on(run));
  REQUIRE_MESSAGE(run.wait_for("raid", "degraded_blocks", 1), run.log());
  REQUIRE(run.kill_stage("raid"));
  REQUIRE(goes_on(run));
  REQUIRE(run.kill_stage("disk7"));
  replace(run, "15");
  replace(run, "3");
  REQUIRE(goes_on(run));
  REQUIRE(run.tell("raid", "scrub"));
  REQUIRE_MESSAGE(run.wait_for("raid", "scrubs", 1), run.log());
  CHECK(run.number("raid", "inconsistent_rows") == 0);
  CHECK(run.number("raid", "mended_blocks") == 0);
  CHECK(run.number("raid", "lost_blocks") == 0);
  CHECK(run.number("raid", "is_broken") == 0);
  for (std::uint32_t i = 0; i < options.disks; ++i) {
    CHECK_MESSAGE(run.number("raid", "disk" + std::to_string(i) + "_state") == 1, i);
  }
  CHECK(run.number("load", "violations") == 0);
  MESSAGE(run.number("load", "answered"), " answers, ", run.number("load", "sectors_checked"),
          " sectors compared, ", run.number("raid", "degraded_blocks"), " blocks computed");
  // Another run reads everything; it names the two first files: they are stale, and two may lack.
  REQUIRE(run.tell("load", "stop"));
  CHECK_MESSAGE(run.end_by_itself() == 0, run.log());
  options.verifies_only = true;
  REQUIRE_MESSAGE(run.start(options), run.problem());
  CHECK_MESSAGE(run.end_by_itself() == 0, run.log());
}

}  // namespace slipring::array::test

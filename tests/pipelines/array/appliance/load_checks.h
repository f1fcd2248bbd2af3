// What the load of an ArrayRun must say, whatever happened to the disks.
#pragma once

#include <doctest/doctest.h>

#include <optional>

#include "tests/pipelines/array/appliance/array_run.h"

namespace slipring::array::test {

// Ends the run, and reads all of it in another.
inline void expect_good_end(ArrayRun& run, ArrayRunOptions options) {
  CHECK(run.number("load", "violations") == 0);
  REQUIRE(run.tell("load", "stop"));
  const std::optional<int> status = run.end_by_itself();
  CHECK_MESSAGE(status == 0, run.log());
  options.verifies_only = true;
  REQUIRE_MESSAGE(run.start(options), run.problem());
  CHECK_MESSAGE(run.end_by_itself() == 0, run.log());
}

// More answers of the load than there are now.
inline bool goes_on(const ArrayRun& run) {
  return run.wait_for("load", "answered", run.number("load", "answered") + 200);
}

// Another disk takes the place of the member, which is missing by now, and is rebuilt.
inline void replace(ArrayRun& run, std::uint32_t member, const std::string& path) {
  const std::string disk = "disk" + std::to_string(member);
  REQUIRE(run.tell(disk, "fail"));
  REQUIRE(run.wait_until(disk, "is_usable", 0));
  REQUIRE(run.tell(disk, "replace " + path));
  REQUIRE_MESSAGE(run.wait_for(disk, "is_usable", 1), run.log());
  REQUIRE(run.tell("raid", "replace " + std::to_string(member)));
  REQUIRE_MESSAGE(run.wait_until("raid", disk + "_state", 1), run.log());
  REQUIRE(goes_on(run));
}

}  // namespace slipring::array::test

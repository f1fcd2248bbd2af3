// A reader is killed again and again, and a successor that stands by reads on: nothing is lost,
// and what comes again is marked.  How long that took is printed, and is the campaign's to judge.

#include "tests/crash/link/takeover.h"

#include <doctest/doctest.h>

#include "platform/wait/clock.h"

namespace slipring::crash {
namespace {

TEST_CASE("take-over: a successor that stands by reads on where a killed reader was") {
  const PrivateTmpfs tmpfs;
  for (const TakeoverWay way : {TakeoverWay::kCertificate, TakeoverWay::kSupervisor}) {
    Takeovers found = measure_takeovers(tmpfs, way, 200, kNoDeadline);
    CHECK(found.failures == 0);
    CHECK(found.lost == 0);
    CHECK(found.unmarked_repeats == 0);
    CHECK(found.reading_ns.size() == 200);
    MESSAGE("killed to reading: " << quantiles_of(found.reading_ns));
  }
}

}  // namespace
}  // namespace slipring::crash

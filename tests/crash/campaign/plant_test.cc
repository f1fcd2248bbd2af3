// The campaign sees what it looks for: mistakes planted into how a ring is used, each of which has
// to be called by its name.

#include <doctest/doctest.h>

#include "tests/crash/campaign/driver.h"

namespace slipring::campaign {
namespace {

// Whether the mistake is seen within a number of rounds that is far more than it needs.
bool is_seen(Plant plant, const char* ring, Wrong wrong) {
  for (std::uint64_t attempt = 0; attempt < 100; ++attempt) {
    Options options;
    options.seconds = 0;
    options.rounds = 1;
    options.seed = attempt;
    options.ring = ring;
    options.plant = plant;
    options.process_count = 2;
    // A mistake may also stop everybody; then it is for the next attempt to show it.
    options.deadline_seconds = plant == Plant::kHang ? 1 : 5;
    Outcome outcome;
    (void)run(options, outcome);
    if (outcome.tally(0).wrong[static_cast<std::uint32_t>(wrong)] != 0) return true;
  }
  return false;
}

TEST_CASE("campaign: planted mistakes are seen") {
  CHECK(is_seen(Plant::kLost, "slots", Wrong::kLost));
  CHECK(is_seen(Plant::kRepeat, "slots", Wrong::kDuplicated));
  CHECK(is_seen(Plant::kTorn, "slots", Wrong::kTorn));
  CHECK(is_seen(Plant::kOrder, "slots", Wrong::kOrder));
  CHECK(is_seen(Plant::kHang, "slots", Wrong::kHang));
  CHECK(is_seen(Plant::kUnmarked, "records", Wrong::kDuplicated));
  CHECK(is_seen(Plant::kFalseMark, "records", Wrong::kMark));
  CHECK(is_seen(Plant::kLeak, "pool-slots", Wrong::kLeaked));
  CHECK(is_seen(Plant::kNoRecovery, "mpmc", Wrong::kLost));
  CHECK(is_seen(Plant::kWrongReaper, "shared-pool", Wrong::kLeaked));
  CHECK(is_seen(Plant::kMiscount, "broadcast-over", Wrong::kLost));
  CHECK(is_seen(Plant::kHasty, "pool-slots", Wrong::kLost));
  CHECK(is_seen(Plant::kHasty, "relay", Wrong::kLost));
}

}  // namespace
}  // namespace slipring::campaign

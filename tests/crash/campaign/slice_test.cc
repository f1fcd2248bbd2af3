// A slice of the campaign, in CI: every ring for a moment.

#include <doctest/doctest.h>

#include <string>

#include "tests/crash/campaign/driver.h"

namespace slipring::campaign {
namespace {

TEST_CASE("campaign: some deaths over every ring, and nothing is lost, repeated, torn, or leaked") {
  Options options;
  options.seconds = 0;
  options.rounds = 3;
  options.process_count = 2;
  options.kills_in_round = 120;
  Outcome outcome;
  const bool is_well = run(options, outcome);
  for (std::uint32_t i = 0; i < kMaxSayings && i < outcome.sayings().count; ++i) {
    MESSAGE(std::string(outcome.sayings().texts[i]));
  }
  CHECK(is_well);
  CHECK(outcome.violations() == 0);
  CHECK(outcome.scenes.size() == all_scenes().size());
  std::uint64_t committed = 0;
  std::uint64_t vanished = 0;
  for (const SceneResult& scene : outcome.scenes) {
    CAPTURE(scene.name);
    // A round may end early, with its journals full; most do not.
    CHECK(scene.tally->kills > options.kills_in_round);
    CHECK(scene.tally->messages > scene.tally->kills);
    CHECK(scene.tally->redelivered > 0);
    committed += scene.tally->maybe_committed;
    vanished += scene.tally->maybe_vanished;
  }
  MESSAGE(outcome.kills() << " kills; pushes that a death had cut short: " << committed
                          << " had committed, " << vanished << " had not");
  CHECK(outcome.kills() > outcome.scenes.size() * 3 * options.kills_in_round);
  CHECK(committed > 0);
  CHECK(vanished > 0);
}

}  // namespace
}  // namespace slipring::campaign

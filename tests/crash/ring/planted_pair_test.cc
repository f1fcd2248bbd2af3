// Each oracle of the experiments with pairs turns red on a ring with a bug of its kind, and the
// same ring without a bug is green.

#include <doctest/doctest.h>

#include "tests/crash/ring/pair_experiments.h"
#include "tests/crash/ring/planted_kit.h"

namespace slipring::crash {
namespace {

// All that is done to a ring, together.
template <Plant plant>
Findings findings_of(bool with_pairs = true) {
  using Kit = PlantedKit<plant>;
  PairExperiments<Kit> experiments;
  Tally all;
  all.add(experiments.producer(ProducerWay::kPush, false));
  all.add(experiments.consumer(ConsumerWay::kPeek, false));
  if (with_pairs)
    all.add(experiments.pairs(ProducerWay::kPush, ConsumerWay::kPeek, {{0, 0, 1}, {0, 5, 3}}));
  MESSAGE(all.instruction_count, " steps, ", all.kill_count, " kills, ", all.stop_count, " stops, ",
          all.signal_count, " signals, ", all.pair_count, " pairs: ", all.findings.total(),
          " wrong ", all.findings.first());
  return all.findings;
}

TEST_CASE("planted: the ring without a bug is green") {
  CHECK(findings_of<Plant::kNone>().total() == 0);
}
TEST_CASE("planted: published before it is written: torn") {
  CHECK(findings_of<Plant::kPublishFirst>().of(Oracle::kTorn) > 0);
}
TEST_CASE("planted: given back before it is read: lost") {
  const Findings findings = findings_of<Plant::kDoneFirst>();
  CHECK(findings.of(Oracle::kLost) > 0);
}
TEST_CASE("planted: no intent before a message is handed out: repeated, and not marked") {
  CHECK(findings_of<Plant::kNoIntent>().of(Oracle::kRepeated) > 0);
}
TEST_CASE("planted: finishing is not written down: repeated") {
  CHECK(findings_of<Plant::kForgetsDone>().of(Oracle::kRepeated) > 0);
}
TEST_CASE("planted: a successor begins over what is committed: lost") {
  CHECK(findings_of<Plant::kForgetsTail>().of(Oracle::kLost) > 0);
}
TEST_CASE("planted: two messages change places: order") {
  CHECK(findings_of<Plant::kSwapped>(false).of(Oracle::kOrder) > 0);
}
TEST_CASE("planted: a lock: no progress") {
  CHECK(findings_of<Plant::kLocked>(false).of(Oracle::kProgress) > 0);
}

}  // namespace
}  // namespace slipring::crash

// The broadcast ring under each policy: whoever dies or stops at any instruction.

#include <doctest/doctest.h>

#include "tests/crash/ring/broadcast_experiments.h"
#include "tests/crash/ring/check_rows.h"

namespace slipring::crash {
namespace {

TEST_CASE("broadcast: whoever dies or stops at any instruction") {
  for (const BroadcastPolicy policy :
       {BroadcastPolicy::kOverwrite, BroadcastPolicy::kBlock, BroadcastPolicy::kEvict}) {
    check_rows(broadcast_table(policy, Extent::kTest));
  }
}

Findings findings_of(BroadcastPolicy policy, CastPlant plant) {
  const Tally tally = CastExperiments(policy, plant).operation(CastWay::kPeek, false);
  MESSAGE(tally.kill_count, " kills, ", tally.stop_count, " stops: ", tally.findings.total(),
          " wrong ", tally.findings.first());
  return tally.findings;
}

TEST_CASE("planted: a reader that believes what was overwritten under it: torn") {
  const Findings findings = findings_of(BroadcastPolicy::kOverwrite, CastPlant::kBelievesInPlace);
  CHECK(findings.of(Oracle::kTorn) > 0);
}
TEST_CASE("planted: a reader that lets go before it has read: lost") {
  const Findings findings = findings_of(BroadcastPolicy::kBlock, CastPlant::kReleasesFirst);
  CHECK(findings.of(Oracle::kLost) > 0);
}

}  // namespace
}  // namespace slipring::crash

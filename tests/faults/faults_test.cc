// Every system call of every scenario fails, with an errno that it can give: each call in each way,
// the errnos in turn.  All of them are in //tests/faults:campaign.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/faults/campaign.h"

namespace slipring::faults {
namespace {

void run_all(const char* part, const std::vector<Scenario>& scenarios) {
  Campaign campaign(Depth::kInTurn);
  for (const Scenario& scenario : scenarios) campaign.run(scenario);
  MESSAGE(std::string(part) << ": " << campaign.summary());
  CHECK(campaign.tally().failures.empty());
  CHECK(campaign.tally().injection_count > 50);
}

}  // namespace

TEST_CASE("faults: platform/memory") {
  run_all("memory", memory_scenarios());
}
TEST_CASE("faults: platform/process") {
  run_all("process", process_scenarios());
}
TEST_CASE("faults: platform/wait") {
  run_all("wait", wait_scenarios());
}
TEST_CASE("faults: pipelines/link") {
  run_all("link", link_scenarios());
}
TEST_CASE("faults: pipelines/stage") {
  run_all("stage", stage_scenarios());
}
TEST_CASE("faults: sealed memory, rendezvous, guarded links") {
  run_all("guarded", guarded_scenarios());
}
TEST_CASE("faults: a broker that serves") {
  run_all("broker", broker_scenarios());
}

}  // namespace slipring::faults

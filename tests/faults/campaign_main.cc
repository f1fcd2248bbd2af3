// Every fault of every scenario, and the table of them: bazel run //tests/faults:campaign
//   campaign            everything
//   campaign WORD...    the scenarios whose name begins with one of the words
#include <cstdio>
#include <string_view>

#include "tests/faults/campaign.h"

namespace slipring::faults {
namespace {

bool is_chosen(const Scenario& scenario, int count, char** words) {
  if (count < 2) return true;
  for (int i = 1; i < count; ++i) {
    if (scenario.name.starts_with(words[i])) return true;
  }
  return false;
}

int campaign(int count, char** words) {
  Campaign campaign(Depth::kEvery);
  for (auto* part : {memory_scenarios, process_scenarios, wait_scenarios, link_scenarios,
                     stage_scenarios, guarded_scenarios, broker_scenarios}) {
    for (const Scenario& scenario : part()) {
      if (!is_chosen(scenario, count, words)) continue;
      const std::uint64_t before = campaign.tally().injection_count;
      campaign.run(scenario);
      std::printf("%-52s %6llu injections, %zu failures so far\n", scenario.name.c_str(),
                  static_cast<unsigned long long>(campaign.tally().injection_count - before),
                  campaign.tally().failures.size());
      std::fflush(stdout);
    }
  }
  std::printf("\n%s\n%s", campaign.table().c_str(), campaign.summary().c_str());
  bool is_clean = campaign.tally().failures.empty();
  if (count < 2) {
    for (const std::string& unused : campaign.unused_allowances()) {
      std::printf("  an allowance that nothing needs: %s\n", unused.c_str());
      is_clean = false;
    }
  }
  return is_clean ? 0 : 1;
}

}  // namespace
}  // namespace slipring::faults

int main(int count, char** words) {
  return slipring::faults::campaign(count, words);
}

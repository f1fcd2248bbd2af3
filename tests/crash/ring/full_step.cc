// Every ring and pool, every operation, every start: what is too long for each build.
//
//   full_step [part]...     parts: typed slots records stream lanes merged mpmc exchange
//                           broadcast buffer-pool shared-pool; all without any
// Prints a table for each part as it is done, and answers 1 when anything was found.

#include <cstdio>
#include <string_view>
#include <vector>

#include "tests/crash/ring/broadcast_experiments.h"
#include "tests/crash/ring/lane_kit.h"
#include "tests/crash/ring/mpmc_experiments.h"
#include "tests/crash/ring/pair_kits.h"
#include "tests/crash/ring/pair_kits_bytes.h"
#include "tests/crash/ring/pair_table.h"
#include "tests/crash/ring/pool_kit.h"
#include "tests/crash/ring/shared_pool_experiments.h"
#include "tests/crash/stepper/findings.h"

namespace slipring::crash {
namespace {

using Rows = std::vector<Tally>;

Rows broadcast_rows() {
  Rows rows;
  for (const BroadcastPolicy policy :
       {BroadcastPolicy::kOverwrite, BroadcastPolicy::kBlock, BroadcastPolicy::kEvict}) {
    for (Tally& row : broadcast_table(policy, Extent::kCampaign)) rows.push_back(std::move(row));
  }
  return rows;
}

struct Part {
  std::string_view name;
  Rows (*run)();
};
constexpr Part kParts[]{
    {"typed", [] { return pair_table<TypedKit>(Extent::kCampaign); }},
    {"slots", [] { return pair_table<SlotKit>(Extent::kCampaign); }},
    {"records", [] { return pair_table<RecordKit>(Extent::kCampaign); }},
    {"stream", [] { return pair_table<StreamKit>(Extent::kCampaign); }},
    {"lanes", [] { return pair_table<LaneKit<false>>(Extent::kCampaign); }},
    {"merged", [] { return pair_table<LaneKit<true>>(Extent::kCampaign); }},
    {"mpmc", [] { return many_table<HandleKit>(Extent::kCampaign); }},
    {"exchange", [] { return many_table<ExchangeKit>(Extent::kCampaign); }},
    {"broadcast", broadcast_rows},
    {"buffer-pool", [] { return pair_table<PoolKit<>>(Extent::kCampaign); }},
    {"shared-pool", [] { return shared_pool_table(Extent::kCampaign); }},
};

int run(const std::vector<std::string_view>& wanted) {
  Rows sums;
  for (const Part& part : kParts) {
    bool is_wanted = wanted.empty();
    for (const std::string_view name : wanted) is_wanted |= name == part.name;
    if (!is_wanted) continue;
    const Rows rows = part.run();
    print_table(rows);
    Tally sum;
    sum.name = part.name;
    for (const Tally& row : rows) sum.add(row);
    sums.push_back(sum);
  }
  std::printf("\n");
  print_table(sums);
  bool is_clean = !sums.empty();
  for (const Tally& sum : sums) is_clean &= sum.findings.total() == 0;
  return is_clean ? 0 : 1;
}

}  // namespace
}  // namespace slipring::crash

int main(int argc, char** argv) {
  return slipring::crash::run({argv + 1, argv + argc});
}

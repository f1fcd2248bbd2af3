// Power cuts by the million: every level, both sector sizes, with and without members lost.
//   power_cut_campaign [SEEDS [FIRST_SEED]]
// Prints what was tried beside the count of violations; ends with 1 when there is one.
#include <cstdio>
#include <cstdlib>

#include "tests/pipelines/array/raid/power_cut.h"

namespace {

using slipring::array::RaidLevel;
using slipring::array::test::PowerCutOptions;
using slipring::array::test::PowerCutReport;

void add(PowerCutReport& all, const PowerCutReport& one) {
  all.cuts += one.cuts;
  all.states += one.states;
  all.assemblies += one.assemblies;
  all.nested += one.nested;
  all.exhaustive_cuts += one.exhaustive_cuts;
  all.replayed_groups += one.replayed_groups;
  all.blocks_checked += one.blocks_checked;
  all.violations += one.violations;
  if (all.first_violation.empty()) all.first_violation = one.first_violation;
}

}  // namespace

int main(int argc, char** argv) {
  const auto seeds = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 100;
  const auto first = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  PowerCutReport all;
  for (std::uint64_t seed = first; seed < first + seeds && all.violations == 0; ++seed) {
    for (const RaidLevel level : {RaidLevel::kSingleParity, RaidLevel::kDoubleParity}) {
      for (const std::uint32_t sector_bytes : {512U, 4096U}) {
        for (const bool loses_member : {false, true}) {
          PowerCutOptions options;
          options.level = level;
          options.member_count = level == RaidLevel::kSingleParity ? 3 + seed % 2 : 5;
          options.sector_bytes = sector_bytes;
          options.loses_member = loses_member;
          options.returns_stale = true;
          options.seed = seed;
          options.steps = 16;
          options.exhaustive_sectors = 8;
          add(all, run_power_cuts(options));
        }
      }
    }
    std::fprintf(stderr, "seed %llu: %llu assemblies\n", static_cast<unsigned long long>(seed),
                 static_cast<unsigned long long>(all.assemblies));
  }
  std::printf(
      "%llu cuts (%llu tried in every way), %llu states of the disks, %llu assemblies (%llu after "
      "a "
      "second cut), %llu groups replayed, %llu blocks compared: %llu violations%s%s\n",
      static_cast<unsigned long long>(all.cuts),
      static_cast<unsigned long long>(all.exhaustive_cuts),
      static_cast<unsigned long long>(all.states), static_cast<unsigned long long>(all.assemblies),
      static_cast<unsigned long long>(all.nested),
      static_cast<unsigned long long>(all.replayed_groups),
      static_cast<unsigned long long>(all.blocks_checked),
      static_cast<unsigned long long>(all.violations), all.violations != 0 ? ": " : "",
      all.first_violation.c_str());
  return all.violations == 0 ? 0 : 1;
}

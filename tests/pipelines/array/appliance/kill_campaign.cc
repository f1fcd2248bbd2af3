// Kills by the thousand, of any stage behind the load: RAID-5 and RAID-6, io_uring and without.
//   kill_campaign [KILLS [FIRST_SEED]]
// Prints what was tried beside the count of violations; ends with 1 when there is one.
#include <cstdio>
#include <cstdlib>

#include "tests/pipelines/array/appliance/array_run.h"

int main(int argc, char** argv) {
  using slipring::array::test::ArrayRunOptions;
  using slipring::array::test::KillReport;
  static constexpr std::uint64_t kKillsARun = 500;
  const auto wanted = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10'000;
  std::uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  KillReport all;
  while (all.kills < wanted && all.problem.empty()) {
    ArrayRunOptions options;
    options.seed = seed;
    options.level = seed % 2 == 1 ? 5 : 6;
    options.engine = seed % 4 < 2 ? "auto" : "plain";
    const std::uint64_t kills = wanted - all.kills < kKillsARun ? wanted - all.kills : kKillsARun;
    const KillReport one = run_kills(options, kills);
    all.kills += one.kills;
    all.answers += one.answers;
    all.answered_writes += one.answered_writes;
    all.sectors_checked += one.sectors_checked;
    all.violations += one.violations;
    all.problem = one.problem;
    std::fprintf(stderr, "seed %llu: %llu kills\n", static_cast<unsigned long long>(seed),
                 static_cast<unsigned long long>(all.kills));
    ++seed;
  }
  std::printf(
      "%llu kills, %llu answers, %llu of them to writes, %llu sectors compared: %llu "
      "violations\n%s",
      static_cast<unsigned long long>(all.kills), static_cast<unsigned long long>(all.answers),
      static_cast<unsigned long long>(all.answered_writes),
      static_cast<unsigned long long>(all.sectors_checked),
      static_cast<unsigned long long>(all.violations), all.problem.c_str());
  return all.problem.empty() && all.violations == 0 ? 0 : 1;
}

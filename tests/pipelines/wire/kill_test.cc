// The processes that carry a link are killed at random: the slice that every build runs; the
// campaign beside it is the same with more.
#include <doctest/doctest.h>

#include "tests/pipelines/wire/kill_exchange.h"

namespace slipring::wire {
namespace {

TEST_CASE("kill: a wire's processes, killed at random, lose nothing and repeat nothing") {
  std::uint64_t kills = 0;
  std::uint64_t messages = 0;
  for (const WireKind kind : {WireKind::kRecords, WireKind::kSlots, WireKind::kStream,
                              WireKind::kValues, WireKind::kPooled}) {
    for (const LinkSide dials : {LinkSide::kSender, LinkSide::kReceiver}) {
      KillOptions options;
      options.kind = kind;
      options.dials = dials;
      options.kill_count = 20;
      options.seed = 7;
      const KillReport report = run_kills(options);
      CHECK_MESSAGE(report.fault.empty(), report.fault);
      kills += report.kills;
      messages += report.messages;
    }
  }
  MESSAGE(kills, " kills, ", messages, " messages and bytes, 0 lost, 0 repeated");
}

TEST_CASE("kill: into a lane set, lanes of killed receivers taken by others meanwhile") {
  for (const bool is_guarded : {false, true}) {
    KillOptions options;
    options.into_lanes = true;
    options.lanes_are_guarded = is_guarded;
    options.kill_count = 60;
    options.seed = 11;
    const KillReport report = run_kills(options);
    CHECK_MESSAGE(report.fault.empty(), report.fault);
    MESSAGE(std::string(is_guarded ? "guarded: " : "named: "), report.kills, " kills, ",
            report.messages, " messages, 0 lost, 0 repeated");
  }
}

TEST_CASE("kill, planted: a receiver whose ledger dies with it is seen to repeat") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    KillOptions options;
    options.kind = WireKind::kSlots;
    options.kill_count = 20;
    options.seed = seed;
    options.forgets = true;
    const KillReport report = run_kills(options);
    if (report.fault.empty()) continue;
    CHECK(report.fault.find("lost, repeated, or out of order") == 0);
    MESSAGE("planted: ", report.fault);
    return;
  }
  FAIL("not seen in 20 runs");
}

}  // namespace
}  // namespace slipring::wire

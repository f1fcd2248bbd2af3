// The buffer pool with one owner and one reader, and the ring that carries its handles: whoever
// dies or stops at any instruction.

#include <doctest/doctest.h>

#include "tests/crash/ring/check_rows.h"
#include "tests/crash/ring/pair_table.h"
#include "tests/crash/ring/pool_kit.h"

namespace slipring::crash {
namespace {

TEST_CASE("buffer pool: whoever dies or stops at any instruction") {
  check_rows(pair_table<PoolKit<>>(Extent::kShort));
}

TEST_CASE("planted: a successor does not take back what was lent and not sent: a leak") {
  PairExperiments<PoolKit<true>> experiments;
  const Tally tally = experiments.producer(ProducerWay::kPush, false);
  MESSAGE(tally.kill_count, " kills, ", tally.findings.total(), " wrong ", tally.findings.first());
  CHECK(tally.findings.of(Oracle::kLeak) > 0);
}

}  // namespace
}  // namespace slipring::crash

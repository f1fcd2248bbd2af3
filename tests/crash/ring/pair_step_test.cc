// Rings with one producer and one consumer: death, stops and signals at every instruction of every
// operation, and of every pair of instructions of both.

#include <doctest/doctest.h>

#include "tests/crash/ring/check_rows.h"
#include "tests/crash/ring/pair_kits.h"
#include "tests/crash/ring/pair_kits_bytes.h"
#include "tests/crash/ring/pair_table.h"

namespace slipring::crash {
namespace {

TEST_CASE("typed ring: whoever dies or stops at any instruction") {
  check_rows(pair_table<TypedKit>(Extent::kTest));
}
TEST_CASE("slot ring: whoever dies or stops at any instruction") {
  check_rows(pair_table<SlotKit>(Extent::kTest));
}
TEST_CASE("record ring: whoever dies or stops at any instruction") {
  check_rows(pair_table<RecordKit>(Extent::kTest));
}
TEST_CASE("byte stream: whoever dies or stops at any instruction") {
  check_rows(pair_table<StreamKit>(Extent::kTest));
}

template <typename Kit>
void check_real_stops() {
  PairExperiments<Kit> experiments;
  const std::vector<PairStart> starts = pair_starts<Kit>(false);
  for (const PairStart& start : {starts[0], starts[5], starts[7]}) {
    for (const Tally& tally : {experiments.stopped_for_real(ProducerWay::kPush, start),
                               experiments.stopped_for_real(ConsumerWay::kPeek, start)}) {
      CHECK(tally.stop_count > 0);
      CHECK_MESSAGE(tally.findings.total() == 0, tally.findings.first());
    }
  }
}

TEST_CASE("rings: whoever is stopped by a real SIGSTOP at any instruction harms nobody") {
  check_real_stops<TypedKit>();
  check_real_stops<SlotKit>();
  check_real_stops<RecordKit>();
  check_real_stops<StreamKit>();
}

}  // namespace
}  // namespace slipring::crash

// Lanes: whoever dies or stops at any instruction, while another lane goes on; and operations in
// signal handlers, which have a lane of their own.

#include <doctest/doctest.h>

#include <csignal>

#include "tests/crash/ring/check_rows.h"
#include "tests/crash/ring/lane_kit.h"
#include "tests/crash/ring/pair_table.h"

namespace slipring::crash {
namespace {

TEST_CASE("lanes: whoever dies or stops at any instruction") {
  check_rows(pair_table<LaneKit<false>>(Extent::kShort));
}
TEST_CASE("merged lanes: whoever dies or stops at any instruction") {
  check_rows(pair_table<LaneKit<true>>(Extent::kShort));
}

// A push that is interrupted at every instruction by a handler, which does `in_handler`.
template <typename Kit>
Tally push_interrupted(void (*in_handler)(PairScene<Kit>&)) {
  static PairScene<Kit>* scene;
  static void (*handler)(PairScene<Kit>&);
  handler = in_handler;
  Tally tally;
  for (const PairStart& start : pair_starts<Kit>(false)) {
    Stage<PairScene<Kit>> stage;
    scene = &*stage;
    ++tally.start_count;
    PairJudge<Kit> judge(*stage, tally.findings);
    judge.begin(start);
    judge.prepare(ProducerWay::kPush);
    Kit::load(stage->heard.box, 0, stage->committed + 1);
    std::signal(SIGUSR1, [](int) { handler(*scene); });
    const auto push = [&stage] {
      Kit::push(*stage->producer, ProducerWay::kPush, stage->pushing.box, 1, stage->pushing.told);
    };
    interrupt_everywhere(stage, push, tally, SIGUSR1, [&] {
      PairJudge<Kit> after(*stage, tally.findings);
      after.settle_producer(true);
      after.settle_handler(false);
      after.laps();
      after.end();
    });
    std::signal(SIGUSR1, SIG_DFL);
  }
  return tally;
}

TEST_CASE("signals: a handler at every instruction of a push may push to a lane of its own") {
  const Tally tally = push_interrupted<LaneKit<false>>(
      [](PairScene<LaneKit<false>>& scene) { LaneKit<false>::send_beside(scene.memory); });
  MESSAGE(tally.signal_count, " signals, ", tally.findings.total(), " wrong");
  CHECK(tally.signal_count > 400);
  CHECK_MESSAGE(tally.findings.total() == 0, tally.findings.first());
}

TEST_CASE("signals: a handler that pushes to the very end that it interrupts does harm") {
  const Tally typed = push_interrupted<TypedKit>([](PairScene<TypedKit>& scene) {
    TypedKit::push(*scene.producer, ProducerWay::kPush, scene.heard.box, 1, scene.heard.told);
  });
  const Tally slots = push_interrupted<SlotKit>([](PairScene<SlotKit>& scene) {
    SlotKit::push(*scene.producer, ProducerWay::kPush, scene.heard.box, 1, scene.heard.told);
  });
  MESSAGE("typed: ", typed.signal_count, " signals, ", typed.findings.total(), " wrong, ",
          typed.findings.first(), "; slots: ", slots.signal_count, " signals, ",
          slots.findings.total(), " wrong, ", slots.findings.first());
  // An end is one thread's at a time, and a handler is another.
  CHECK(typed.findings.total() > 0);
  CHECK(slots.findings.total() > 0);
}

}  // namespace
}  // namespace slipring::crash

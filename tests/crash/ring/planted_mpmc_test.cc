// Each oracle of the experiments with rings for many turns red on a bug of its kind in what is done
// around the ring, or in what is written down for recovery.

#include <doctest/doctest.h>

#include "tests/crash/ring/mpmc_experiments.h"
#include "tests/crash/ring/mpmc_kits.h"

namespace slipring::crash {
namespace {

enum class ManyPlant {
  kNone,
  kFinishFirst,      // a message is finished before it is handed out
  kForgetsHeld,      // whoever comes after a dead one forgets what that held
  kNeverSettles,     // the reaper gives the estate out and does not say so
  kLeavesFinishOut,  // a message is handed out and never finished
  kLocked,           // a lock around each operation
};

template <typename Base, ManyPlant plant>
struct PlantedKit : Base {
  using typename Base::Box;
  using typename Base::Consumer;
  using typename Base::Producer;

  struct Memory : Base::Memory {
    std::atomic<std::uint32_t> lock;
  };
  static inline Memory* locked = nullptr;  // one memory at a time

  [[nodiscard]] static auto producer(Memory& memory, std::uint32_t who) {
    locked = &memory;
    if (plant == ManyPlant::kForgetsHeld) memory.records[who - 1].intent.store(0);
    return Base::producer(memory, who);
  }
  [[nodiscard]] static auto consumer(Memory& memory, std::uint32_t who) {
    if (plant == ManyPlant::kForgetsHeld) memory.records[who - 1].intent.store(0);
    return Base::consumer(memory, who);
  }
  template <typename Work>
  static void guarded(ManyTold& told, Work work) {
    std::uint32_t free = 0;
    for (int i = 0; plant == ManyPlant::kLocked; ++i, free = 0) {
      if (locked->lock.compare_exchange_strong(free, 1)) break;
      if (i == 10) {  // so that the test ends
        told.answer = Transfer::kBlocked;
        return;
      }
    }
    work();
    if (plant == ManyPlant::kLocked) locked->lock.store(0);
  }
  static void push(Producer& producer, ManyWay way, const Box& box, ManyTold& told) {
    guarded(told, [&] { Base::push(producer, way, box, told); });
  }
  static void pop(Consumer& consumer, ManyWay way, Box& box, ManyTold& told) {
    guarded(told, [&] {
      if constexpr (plant != ManyPlant::kFinishFirst && plant != ManyPlant::kLeavesFinishOut) {
        Base::pop(consumer, way, box, told);
      } else {
        std::uint32_t payload = 0;
        told.answer = consumer.try_pop(payload);
        if (told.answer != Transfer::kDone) return;
        if (plant == ManyPlant::kFinishFirst) consumer.finish();
        box.payloads[0] = payload;
        told.count.store(1, std::memory_order_release);
        told.finished.store(1, std::memory_order_release);
      }
    });
  }
  static void reap(Memory& memory, std::uint32_t dead, Box& box, ManyTold& told) {
    const std::uint64_t finished = memory.records[dead - 1].finished.load();
    Base::reap(memory, dead, box, told);
    if (plant == ManyPlant::kNeverSettles) memory.records[dead - 1].finished.store(finished);
  }
};

template <typename Base, ManyPlant plant>
Findings findings_of(bool with_reaper = false) {
  ManyExperiments<PlantedKit<Base, plant>> experiments;
  Tally all;
  for (const ManyWay way : {ManyWay::kPush, ManyWay::kPop}) {
    all.add(experiments.operation(way, false));
  }
  if (with_reaper) {
    all.add(experiments.after_death(ManyWay::kPop, ManyWay::kReap, false));
  }
  MESSAGE(all.instruction_count, " steps, ", all.kill_count, " kills, ", all.stop_count,
          " stops: ", all.findings.total(), " wrong ", all.findings.first());
  return all.findings;
}

TEST_CASE("planted: the rings for many as they are: green") {
  CHECK(findings_of<HandleKit, ManyPlant::kNone>(true).total() == 0);
  CHECK(findings_of<ExchangeKit, ManyPlant::kNone>().total() == 0);
}
TEST_CASE("planted: finished before it is handed out: lost") {
  CHECK(findings_of<HandleKit, ManyPlant::kFinishFirst>().of(Oracle::kLost) > 0);
}
TEST_CASE("planted: a successor forgets what the dead one held: lost") {
  CHECK(findings_of<HandleKit, ManyPlant::kForgetsHeld>().of(Oracle::kLost) > 0);
}
TEST_CASE("planted: a successor forgets the dead one's buffer: a leak") {
  CHECK(findings_of<ExchangeKit, ManyPlant::kForgetsHeld>().of(Oracle::kLeak) > 0);
}
TEST_CASE("planted: never finished, or never settled: repeated") {
  CHECK(findings_of<HandleKit, ManyPlant::kLeavesFinishOut>().of(Oracle::kRepeated) > 0);
  CHECK(findings_of<HandleKit, ManyPlant::kNeverSettles>(true).of(Oracle::kRepeated) > 0);
}
TEST_CASE("planted: a lock: no progress") {
  CHECK(findings_of<HandleKit, ManyPlant::kLocked>().of(Oracle::kProgress) > 0);
}

}  // namespace
}  // namespace slipring::crash

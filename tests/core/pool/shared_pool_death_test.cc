// Participants of a shared pool die or are stopped at every access to shared memory, and the reaper
// dies too.  After every recovery each buffer is counted in exactly one place, and that place is
// the one that the rings and the living say.

#include <doctest/doctest.h>

#include <string>
#include <tuple>
#include <vector>

#include "core/pool/pool_recovery.h"
#include "core/pool/shared_pool.h"
#include "tests/core/pool/shared_pool_memory.h"
#include "tests/core/pool/shared_pool_world.h"

namespace slipring {
namespace {

struct Totals {
  std::uint64_t op_count = 0;
  std::uint64_t death_count = 0;
  std::uint64_t census_count = 0;
  std::uint64_t refused_count = 0;
  std::uint64_t violation_count = 0;
  std::string first_violation;

  void add(const World& world) {
    op_count += world.op_count;
    death_count += world.death_count;
    census_count += world.census_count;
    refused_count += world.refused_count;
    violation_count += world.violation_count;
    if (first_violation.empty()) first_violation = world.first_violation;
  }
};

// Walks at random, with a death now and then, until the end or the first violation.
void walk(World& world, std::uint32_t step_count) {
  for (std::uint32_t step = 0; step < step_count && world.violation_count == 0; ++step) {
    const std::uint32_t who = world.pick(kActors);
    if (world.pick(12) == 0) {
      world.die(who, static_cast<Op>(world.pick(kOpCount)), world.pick(24), world.pick(80));
    } else {
      world.perform_any(who);
    }
    world.check_all();
  }
}

Totals random_walks(Plant plant) {
  Totals totals;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    World world(seed, seed % 3 == 0 ? 5 : seed % 3 == 1 ? 16 : 48, plant);
    walk(world, 400);
    world.finish();
    totals.add(world);
  }
  return totals;
}

TEST_CASE("shared_pool: whoever dies wherever, each buffer is in exactly one place: random walks") {
  const Totals totals = random_walks(Plant::kNone);
  MESSAGE(totals.op_count, " operations, ", totals.death_count, " deaths, ", totals.refused_count,
          " replays refused, ", totals.census_count, " censuses, ", totals.violation_count,
          " violations ", totals.first_violation);
  CHECK(totals.death_count > 3000);
  CHECK(totals.refused_count > 500);
  CHECK(totals.violation_count == 0);
}

TEST_CASE("shared_pool: a reaper with a bug is seen by the walk") {
  for (const Plant plant : {Plant::kNeverCarried, Plant::kAlwaysCarried, Plant::kWipesIntentFirst,
                            Plant::kWipesLivingMarks}) {
    const Totals totals = random_walks(plant);
    MESSAGE("planted ", static_cast<int>(plant), ": ", totals.violation_count, " violations, ",
            totals.first_violation);
    CHECK(totals.violation_count > 0);
  }
}

// A world in the middle of things, the same every time.
void warm_up(World& world) {
  for (std::uint32_t step = 0; step < 120; ++step) {
    world.perform_any(step % kActors);
  }
  for (std::uint32_t who = 0; who < kActors; ++who) {
    for (const Op op :
         {Op::kAcquire, Op::kSend, Op::kAcquire, Op::kShare, Op::kHold, Op::kAcquire}) {
      world.perform(who, op);
    }
  }
}

// Every access of every operation, times every access of the reaper.
Totals every_death(Reaper fate) {
  Totals totals;
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    for (std::uint32_t op = 0; op < kOpCount; ++op) {
      bool was_reached = true;
      for (std::uint64_t at = 0; was_reached; ++at) {
        bool reaper_reached = true;
        for (std::uint64_t reaper_at = 0; reaper_reached; ++reaper_at) {
          World world(seed, 24);
          warm_up(world);
          std::tie(was_reached, reaper_reached) =
              world.die(1, static_cast<Op>(op), at, reaper_at, fate);
          world.check_all();
          world.finish();
          totals.add(world);
        }
      }
    }
  }
  return totals;
}

TEST_CASE(
    "shared_pool: death at every access of every operation, the reaper's death at every one") {
  const Totals totals = every_death(Reaper::kDies);
  MESSAGE(totals.death_count, " deaths, ", totals.census_count, " censuses, ",
          totals.violation_count, " violations ", totals.first_violation);
  CHECK(totals.death_count > 1000);
  CHECK(totals.violation_count == 0);
}

TEST_CASE("shared_pool: the living work on while the reaper stands still at any access") {
  const Totals totals = every_death(Reaper::kIsStopped);
  MESSAGE(totals.death_count, " deaths, ", totals.op_count, " operations, ", totals.census_count,
          " censuses, ", totals.violation_count, " violations ", totals.first_violation);
  CHECK(totals.death_count > 1000);
  CHECK(totals.violation_count == 0);
}

TEST_CASE("shared_pool: whoever is stopped at any access delays nobody, and goes on unharmed") {
  Totals totals;
  std::uint64_t stop_count = 0;
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    for (std::uint32_t op = 0; op < kOpCount; ++op) {
      for (std::uint64_t at = 0;; ++at) {
        World world(seed, 24);
        warm_up(world);
        access_watch.arm(at, [&] { world.others_work(1, 80); });
        world.perform(1, static_cast<Op>(op));
        if (!access_watch.disarm()) break;
        ++stop_count;
        world.check_all();
        world.finish();
        totals.add(world);
      }
    }
  }
  MESSAGE(stop_count, " stops, ", totals.op_count, " operations, ", totals.violation_count,
          " violations ", totals.first_violation);
  CHECK(stop_count > 100);
  CHECK(totals.violation_count == 0);
}

TEST_CASE("shared_pool: buffers in flight that no ring carries are freed, the others stay") {
  SharedPoolBlocks<WatchedAtomics> blocks({8, 2, 64});
  Pool one = blocks.attach(0);
  std::vector<PoolHandle> sent;
  for (std::uint32_t i = 0; i < 4; ++i) {
    PoolHandle handle;
    REQUIRE(one.try_acquire(handle) == Transfer::kDone);
    REQUIRE(one.send(handle, 0, [&](const PoolHandle& name) {
      sent.push_back(name);
      return Transfer::kDone;
    }) == Transfer::kDone);
  }
  const auto carried = [&](const PoolHandle& handle) {
    return handle == sent[0] || handle == sent[2];
  };
  CHECK(recover_in_flight<WatchedAtomics>(blocks.parts(), blocks.geometry, carried).value() == 2);
  CHECK(blocks.census().in_flight == 2);
  CHECK(one.claim(sent[2]));
  CHECK_FALSE(one.claim(sent[1]));
}

TEST_CASE(
    "shared_pool: what a living reader holds is freed by recovering again, or by a successor") {
  for (const bool by_successor : {false, true}) {
    SharedPoolBlocks<WatchedAtomics> blocks({8, 2, 64});
    PoolHandle shared;
    {
      Pool writer = blocks.attach(0);
      PoolHandle handle;
      REQUIRE(writer.try_acquire(handle) == Transfer::kDone);
      shared = writer.share(handle);
    }
    Pool reader = blocks.attach(1);
    REQUIRE(reader.hold(shared));
    const auto recover = [&] {
      return recover_participant<WatchedAtomics>(blocks.parts(), blocks.geometry, 0,
                                                 kNothingCarried)
          .value();
    };
    CHECK(recover().held_count == 1);
    CHECK(recover().held_count == 1);
    CHECK_FALSE(reader.hold(shared));
    REQUIRE(reader.let_go(shared));
    if (by_successor) {
      CHECK(blocks.attach(0).reclaim() == 1);
    } else {
      CHECK(recover().freed_count == 1);
    }
    CHECK(blocks.census().retired == 0);
  }
}

}  // namespace
}  // namespace slipring

#include "core/ring/mpsc_merge.h"

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <deque>
#include <random>

#include "core/ring/slot_ring.h"
#include "tests/core/error/dies.h"
#include "tests/core/ring/mpsc_office.h"

namespace slipring {
namespace {

std::uint64_t stamp_of(const SlotView& view) {
  return letter_of(view.message).number;
}

TEST_CASE("mpsc_merge: messages that are there come by their stamps, lanes break ties") {
  Office office(5);
  MpscMerge<SlotConsumer> merge;
  office.join_all(merge);
  std::mt19937_64 random(1);
  std::uint64_t clock = 0;
  std::deque<Letter> wanted;
  std::uint64_t merged_count = 0;
  for (int i = 0; i < 20'000; ++i) {
    if (random() % 2 == 0) {
      SlotLane& lane = *office.lanes[random() % 5];
      clock += random() % 3 + 1;  // gaps
      lane.next_number = clock;
      if (lane.push()) wanted.push_back({lane.lane, clock});
      continue;
    }
    MpscMerge<SlotConsumer>::Message message;
    REQUIRE(merge.try_peek(message, stamp_of) ==
            (wanted.empty() ? Transfer::kBlocked : Transfer::kDone));
    if (wanted.empty()) continue;
    REQUIRE(message.lane == wanted.front().lane);
    REQUIRE(message.stamp == wanted.front().number);
    wanted.pop_front();
    merge.release(message);
    ++merged_count;
  }
  CHECK(merged_count > 5000);
  // Ties.
  MpscMerge<SlotConsumer>::Message message;
  while (merge.try_peek(message, stamp_of) == Transfer::kDone) merge.release(message);
  for (const std::uint32_t lane : {3U, 1U, 4U}) {
    office.lanes[lane]->next_number = 1'000'000;
    REQUIRE(office.lanes[lane]->push());
  }
  for (const std::uint32_t lane : {1U, 3U, 4U}) {
    REQUIRE(merge.try_peek(message, stamp_of) == Transfer::kDone);
    CHECK(message.lane == lane);
  }
}

TEST_CASE("mpsc_merge: a late stamp comes late, a lying lane keeps its own order, nobody waits") {
  Office office(2);
  MpscMerge<SlotConsumer> merge;
  office.join_all(merge);
  MpscMerge<SlotConsumer>::Message message;
  const auto push = [&](std::uint32_t lane, std::uint64_t stamp) {
    office.lanes[lane]->next_number = stamp;
    REQUIRE(office.lanes[lane]->push());
  };
  push(0, 10);
  REQUIRE(merge.try_peek(message, stamp_of) == Transfer::kDone);
  CHECK(message.stamp == 10);
  push(1, 5);
  push(1, UINT64_MAX);
  push(1, 0);
  push(0, 11);
  const std::array<std::uint64_t, 4> order{5, 11, UINT64_MAX, 0};
  for (const std::uint64_t stamp : order) {
    REQUIRE(merge.try_peek(message, stamp_of) == Transfer::kDone);
    CHECK(message.stamp == stamp);
    merge.release(message);
  }
  CHECK(merge.try_peek(message, stamp_of) == Transfer::kBlocked);
  office.lanes[0]->memory.sequence(2).store(99, std::memory_order_relaxed);
  push(1, 1);
  CHECK(merge.try_peek(message, stamp_of) == Transfer::kCorruptPeer);
  CHECK(message.lane == 0);
  merge.leave(0);
  CHECK(dies([&] { merge.leave(0); }));
  CHECK(merge.try_peek(message, stamp_of) == Transfer::kDone);
  CHECK(message.lane == 1);
}

}  // namespace
}  // namespace slipring

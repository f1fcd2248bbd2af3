#include "core/ring/mpsc_ring.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <random>
#include <vector>

#include "core/ring/record_ring.h"
#include "core/ring/slot_ring.h"
#include "tests/core/error/dies.h"
#include "tests/core/ring/mpsc_office.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring {
namespace {

using Mpsc = MpscConsumer<SlotConsumer>;

TEST_CASE("mpsc_bell: each lane has a word of its own, eight neighbours eight lines") {
  std::array<int, kMaxLanes> uses{};
  for (std::uint32_t lane = 0; lane < kMaxLanes; ++lane) {
    REQUIRE(bell_index(lane) < kMaxLanes);
    ++uses[bell_index(lane)];
    if (lane % 8 != 0) CHECK(bell_index(lane) / 8 != bell_index(lane - 1) / 8);
  }
  CHECK(std::all_of(uses.begin(), uses.end(), [](int count) { return count == 1; }));
  BellPage bells{};
  CHECK(dies([&] { LaneBell beyond(bells, kMaxLanes); }));
}

TEST_CASE("mpsc_ring: every message comes once, in its lane's order, under its sender's number") {
  for (const std::uint32_t lane_count : {1U, 2U, 7U, 64U}) {
    for (const std::uint32_t quantum : {1U, 3U, 16U}) {
      CAPTURE(lane_count);
      CAPTURE(quantum);
      Office office(lane_count);
      Mpsc mpsc(office.bells, {quantum, 256});
      office.join_all(mpsc);
      std::mt19937_64 random(lane_count);
      std::vector<std::uint64_t> next(lane_count, 0);
      std::uint64_t received_count = 0;
      for (int i = 0; i < 20'000; ++i) {
        if (random() % 2 == 0) {
          static_cast<void>(office.lanes[random() % lane_count]->push());
          continue;
        }
        std::uint64_t waiting = 0;
        for (std::uint32_t lane = 0; lane < lane_count; ++lane) {
          waiting += office.lanes[lane]->next_number - next[lane];
        }
        Mpsc::Message message;
        REQUIRE(mpsc.has_message() == (waiting != 0));
        // Everything was rung for: nothing waits for a scan.
        REQUIRE(mpsc.try_peek(message) == (waiting ? Transfer::kDone : Transfer::kBlocked));
        if (waiting == 0) continue;
        const Letter letter = letter_of(message.view.message);
        REQUIRE(letter.lane == message.lane);
        REQUIRE(letter.number == next[message.lane]++);
        mpsc.release(message);
        ++received_count;
      }
      CHECK(received_count > 5000);
    }
  }
}

TEST_CASE("mpsc_ring: what a producer published and died before ringing for is found by the scan") {
  for (const std::uint32_t interval : {1U, 8U, 100U}) {
    CAPTURE(interval);
    Office office(64);
    Mpsc mpsc(office.bells, {16, interval});
    office.join_all(mpsc);
    Mpsc::Message message;
    while (mpsc.try_peek(message) == Transfer::kDone) mpsc.release(message);
    REQUIRE(office.lanes[41]->push(false));
    CHECK(mpsc.has_message());  // who goes to sleep does not trust bells
    std::uint32_t try_count = 1;
    while (mpsc.try_peek(message) != Transfer::kDone) {
      REQUIRE(++try_count <= interval);
    }
    CHECK(message.lane == 41);
    mpsc.release(message);
    // With a successor there is no need to wait for the scan.
    REQUIRE(office.lanes[17]->push(false));
    office.lanes[17]->producer_dies();
    CHECK(mpsc.try_peek(message) == Transfer::kDone);
    CHECK(message.lane == 17);
  }
}

TEST_CASE("mpsc_ring: the scan comes also while other lanes keep the consumer busy") {
  Office office(2);
  Mpsc mpsc(office.bells, {4, 10});
  office.join_all(mpsc);
  Mpsc::Message message;
  REQUIRE(mpsc.try_peek(message) == Transfer::kBlocked);
  REQUIRE(office.lanes[1]->push(false));
  int others = 0;
  for (;; ++others) {
    REQUIRE(others <= 4 * 12);
    static_cast<void>(office.lanes[0]->push());
    REQUIRE(mpsc.try_peek(message) == Transfer::kDone);
    mpsc.release(message);
    if (message.lane == 1) break;
  }
  CHECK(others > 0);
}

TEST_CASE("mpsc_ring: a message rung for waits for at most two quanta of each other lane") {
  for (const std::uint32_t quantum : {1U, 5U, 16U}) {
    CAPTURE(quantum);
    constexpr std::uint32_t kLanes = 9;
    Office office(kLanes);
    Mpsc mpsc(office.bells, {quantum, 1U << 30});
    office.join_all(mpsc);
    std::mt19937_64 random(quantum);
    std::vector<std::uint64_t> waited(kLanes, 0);  // messages of others since this lane had one
    std::uint64_t longest = 0;
    const auto flood = [&] {
      for (std::uint32_t lane = 1; lane < kLanes; ++lane) {
        while (office.lanes[lane]->push()) {
        }
      }
    };
    for (int i = 0; i < 20'000; ++i) {
      flood();
      if (random() % 64 == 0) static_cast<void>(office.lanes[0]->push());
      Mpsc::Message message;
      REQUIRE(mpsc.try_peek(message) == Transfer::kDone);
      mpsc.release(message);
      for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
        const bool is_waiting = office.lanes[lane]->consumer.has_message();
        waited[lane] = lane == message.lane || !is_waiting ? 0 : waited[lane] + 1;
        longest = std::max(longest, waited[lane]);
      }
    }
    MESSAGE("quantum ", quantum, ": longest wait ", longest, " messages of others");
    CHECK(longest <= 2 * quantum * (kLanes - 1));
  }
}

TEST_CASE("mpsc_ring: a stopped lane holds up nobody, and one that is full blocks only itself") {
  Office office(3, 4);
  Mpsc mpsc(office.bells);
  office.join_all(mpsc);
  // Lane 1 stops with a slot reserved and written, and never publishes it.
  std::span<std::byte> slot;
  REQUIRE(office.lanes[1]->producer.try_reserve(slot) == Transfer::kDone);
  while (office.lanes[2]->push()) {
  }
  Mpsc::Message message;
  int from_0 = 0;
  int from_2 = 0;
  for (int i = 0; i < 100; ++i) {
    REQUIRE(office.lanes[0]->push());
    REQUIRE(mpsc.try_peek(message) == Transfer::kDone);
    mpsc.release(message);
    ++(message.lane == 0 ? from_0 : from_2);
    if (mpsc.try_peek(message) == Transfer::kDone) {
      mpsc.release(message);
      ++(message.lane == 0 ? from_0 : from_2);
    }
  }
  CHECK(from_0 == 100);
  CHECK(from_2 == 4);
}

TEST_CASE("mpsc_ring: an urgent lane goes before all that waits, without a bell") {
  Office office(4);
  Mpsc mpsc(office.bells);
  mpsc.join(0, office.lanes[0]->consumer, LaneService::kUrgent);
  for (std::uint32_t i = 1; i < 4; ++i) mpsc.join(i, office.lanes[i]->consumer);
  for (std::uint32_t i = 1; i < 4; ++i) {
    for (int k = 0; k < 40; ++k) REQUIRE(office.lanes[i]->push());
  }
  Mpsc::Message message;
  for (int i = 0; i < 30; ++i) {
    REQUIRE(mpsc.try_peek(message) == Transfer::kDone);
    CHECK(message.lane != 0);
    mpsc.release(message);
    REQUIRE(office.lanes[0]->push(false));
    REQUIRE(mpsc.try_peek(message) == Transfer::kDone);
    CHECK(message.lane == 0);
    mpsc.release(message);
  }
}

TEST_CASE("mpsc_ring: lanes join and leave while others go on") {
  Office office(64);
  Mpsc mpsc(office.bells, {2, 1U << 30});
  Mpsc::Message message;
  CHECK(mpsc.try_peek(message) == Transfer::kBlocked);
  CHECK_FALSE(mpsc.has_message());
  for (auto& lane : office.lanes) {
    for (int i = 0; i < 3; ++i) REQUIRE(lane->push(false));
  }
  // Each is found at once when it joins, bell or not.
  for (auto& lane : office.lanes) {
    mpsc.join(lane->lane, lane->consumer);
    REQUIRE(mpsc.try_peek(message) == Transfer::kDone);
    mpsc.release(message);
  }
  CHECK(mpsc.joined() == UINT64_MAX);
  CHECK(dies([&] { mpsc.join(7, office.lanes[7]->consumer); }));
  CHECK(dies([&] { mpsc.join(64, office.lanes[7]->consumer); }));
  for (std::uint32_t i = 0; i < 64; i += 2) mpsc.leave(i);
  CHECK(dies([&] { mpsc.leave(0); }));
  std::uint64_t left_count = 0;
  while (mpsc.try_peek(message) == Transfer::kDone) {
    CHECK(message.lane % 2 == 1);
    mpsc.release(message);
    ++left_count;
  }
  for (std::uint32_t i = 0; i < 64; i += 2) mpsc.join(i, office.lanes[i]->consumer);
  while (mpsc.try_peek(message) == Transfer::kDone) {
    mpsc.release(message);
    ++left_count;
  }
  CHECK(left_count == 3 * 64 - 64);
}

TEST_CASE("mpsc_ring: the consumer's successor takes every lane over, unfinished messages marked") {
  Office office(8);
  {
    Mpsc mpsc(office.bells);
    office.join_all(mpsc);
    for (auto& lane : office.lanes) {
      for (int i = 0; i < 5; ++i) REQUIRE(lane->push());
    }
    Mpsc::Message message;
    for (int i = 0; i < 13; ++i) REQUIRE(mpsc.try_peek(message) == Transfer::kDone);
    // Held: lane 0 wholly, of lane 1 all five, of lane 2 three.  Lane 1 is finished up to here.
    Mpsc::Message of_1{1, {{}, 1, false, false}};
    mpsc.release(of_1);
  }
  for (auto& lane : office.lanes) lane->consumer = lane->memory.consumer();
  Mpsc successor(office.bells);
  office.join_all(successor);
  std::vector<std::uint64_t> next{0, 2, 0, 0, 0, 0, 0, 0};
  std::uint64_t marked_count = 0;
  Mpsc::Message message;
  while (successor.try_peek(message) == Transfer::kDone) {
    CHECK(letter_of(message.view.message).number == next[message.lane]++);
    if (message.view.redelivered) ++marked_count;
    successor.release(message);
  }
  CHECK(marked_count == 5 + 3 + 3);
  for (const std::uint64_t number : next) CHECK(number == 5);
}

TEST_CASE("hostile mpsc: bells of any value lose and repeat nothing") {
  Office office(16);
  Mpsc mpsc(office.bells, {4, 8});
  office.join_all(mpsc);
  std::mt19937_64 random(1);
  std::vector<std::uint64_t> next(16, 0);
  std::uint64_t received_count = 0;
  for (int i = 0; i < 50'000; ++i) {
    if (random() % 2 == 0) {
      const std::uint64_t value = random() % 2 == 0 ? random() : 0;
      office.bells.rings[random() % kMaxLanes].store(value, std::memory_order_relaxed);
    }
    static_cast<void>(office.lanes[random() % 16]->push());
    Mpsc::Message message;
    if (mpsc.try_peek(message) != Transfer::kDone) continue;
    REQUIRE(letter_of(message.view.message).number == next[message.lane]++);
    mpsc.release(message);
    ++received_count;
  }
  CHECK(received_count > 10'000);
}

TEST_CASE("mpsc_ring: a bell that went backwards is a bell") {
  Office office(2);
  Mpsc mpsc(office.bells, {4, 1U << 30});
  office.join_all(mpsc);
  Mpsc::Message message;
  for (int i = 0; i < 5; ++i) REQUIRE(office.lanes[1]->push());
  while (mpsc.try_peek(message) == Transfer::kDone) mpsc.release(message);
  REQUIRE(office.lanes[1]->push(false));
  REQUIRE(mpsc.try_peek(message) == Transfer::kBlocked);
  office.bells.rings[bell_index(1)].store(0, std::memory_order_relaxed);
  CHECK(mpsc.try_peek(message) == Transfer::kDone);
}

TEST_CASE("hostile mpsc: a corrupt lane is named, and the others go on") {
  for (const LaneService service : {LaneService::kFair, LaneService::kUrgent}) {
    Office office(4);
    Mpsc mpsc(office.bells);
    mpsc.join(0, office.lanes[0]->consumer, service);
    for (std::uint32_t i = 1; i < 4; ++i) mpsc.join(i, office.lanes[i]->consumer);
    office.lanes[0]->memory.sequence(0).store(77, std::memory_order_relaxed);
    office.lanes[0]->bell.ring();
    for (std::uint32_t i = 1; i < 4; ++i) {
      for (int k = 0; k < 10; ++k) REQUIRE(office.lanes[i]->push());
    }
    int corrupt_count = 0;
    int done_count = 0;
    Mpsc::Message message;
    for (int i = 0; i < 60; ++i) {
      const Transfer answer = mpsc.try_peek(message);
      if (answer == Transfer::kCorruptPeer) {
        CHECK(message.lane == 0);
        ++corrupt_count;
      } else if (answer == Transfer::kDone) {
        CHECK(message.lane != 0);
        mpsc.release(message);
        ++done_count;
      }
    }
    CHECK(done_count == 30);
    CHECK(corrupt_count >= 1);
  }
}

TEST_CASE("mpsc_ring: record lanes are lanes too") {
  BellPage bells{};
  RecordMemory memory({256, 0});
  RecordProducer producer = memory.producer();
  RecordConsumer consumer = memory.consumer();
  LaneBell bell(bells, 3);
  MpscConsumer<RecordConsumer> mpsc(bells);
  mpsc.join(3, consumer);
  MpscConsumer<RecordConsumer>::Message message;
  CHECK(mpsc.try_peek(message) == Transfer::kBlocked);
  std::array<std::byte, 21> sent;
  write_pattern(sent, 1);
  REQUIRE(producer.try_push(sent) == Transfer::kDone);
  bell.ring();
  REQUIRE(mpsc.try_peek(message) == Transfer::kDone);
  CHECK(message.lane == 3);
  CHECK(has_pattern(message.view.message, 1));
  mpsc.release(message);
  CHECK(mpsc.try_peek(message) == Transfer::kBlocked);
}

}  // namespace
}  // namespace slipring

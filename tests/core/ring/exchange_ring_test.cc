#include "core/ring/exchange_ring.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "tests/core/ring/mpmc_memory.h"

namespace slipring {
namespace {

using SteppedProducer = BasicExchangeProducer<SteppedMemory>;
using SteppedConsumer = BasicExchangeConsumer<SteppedMemory>;

std::array<std::byte, 64> message_of(std::uint64_t number) {
  std::array<std::byte, 64> message{};
  write_pattern(message, number);
  return message;
}

// Every buffer stands in one slot or belongs to one participant.
bool is_whole(const ExchangeBlocks& blocks) {
  const MpmcShape shape(exchange_ring_of(blocks.geometry));
  std::vector<std::uint64_t> owned;
  for (std::uint64_t i = 0; i < blocks.geometry.slot_count; ++i) {
    const std::uint64_t word = blocks.ring.slots.word(8 * i).load(std::memory_order_relaxed);
    owned.push_back(shape.who_of(word) == 0 ? i : shape.payload_of(word));
  }
  for (std::uint32_t who = 1; who <= blocks.geometry.participant_count; ++who) {
    const auto end = ExchangeConsumer::attach(blocks.shared(), who, blocks.geometry);
    if (end) {
      owned.push_back(end.value().spare_number());
    } else {
      return false;
    }
  }
  std::sort(owned.begin(), owned.end());
  for (std::uint64_t i = 0; i < owned.size(); ++i) {
    if (owned[i] != i) return false;
  }
  return owned.size() == exchange_buffer_count(blocks.geometry);
}

TEST_CASE("exchange_ring: messages come whole, in order, and exactly as many as slots fit") {
  for (const std::uint64_t slots : {1U, 2U, 8U, 64U}) {
    for (const std::uint32_t bytes : {64U, 192U, 4096U}) {
      CAPTURE(slots);
      CAPTURE(bytes);
      const ExchangeBlocks blocks({slots, 3, bytes});
      auto producer = ExchangeProducer::attach(blocks.shared(), 1, blocks.geometry);
      auto consumer = ExchangeConsumer::attach(blocks.shared(), 2, blocks.geometry);
      REQUIRE(producer);
      REQUIRE(consumer);
      std::span<const std::byte> got;
      for (std::uint64_t round = 0; round < 5; ++round) {
        for (std::uint64_t i = 0; i < slots; ++i) {
          write_pattern(producer->reserve(), round * slots + i);
          REQUIRE(producer->commit() == Transfer::kDone);
        }
        write_pattern(producer->reserve(), 99);
        REQUIRE(producer->commit() == Transfer::kBlocked);
        REQUIRE(has_pattern(producer->reserve(), 99));  // kept for another try
        for (std::uint64_t i = 0; i < slots; ++i) {
          REQUIRE(consumer->try_take(got) == Transfer::kDone);
          REQUIRE(got.size() == bytes);
          REQUIRE(has_pattern(got, round * slots + i));
        }
        REQUIRE(consumer->try_take(got) == Transfer::kBlocked);
      }
      CHECK(is_whole(blocks));
    }
  }
}

TEST_CASE("exchange_ring: what cannot be is refused") {
  CHECK_FALSE(exchange_validate({8, 2, 0}));
  CHECK_FALSE(exchange_validate({8, 2, 65}));
  CHECK_FALSE(exchange_validate({8, 64, 64}));
  CHECK_FALSE(exchange_validate({6, 2, 64}));
}

// One participant is killed before each of its accesses, with the others working before and after.
struct Death {
  std::uint64_t cut_count = 0;
  std::uint64_t redelivered_count = 0;
  std::uint64_t wrong_count = 0;
};

// How many messages are missing, repeated or unknown.
std::uint64_t wrong_in(const std::vector<std::uint64_t>& pushed, std::uint64_t under_way,
                       std::vector<std::uint64_t> all) {
  std::uint64_t wrong_count = 0;
  // The one under way may or may not have been pushed; all others must be there once.
  std::sort(all.begin(), all.end());
  if (std::adjacent_find(all.begin(), all.end()) != all.end()) ++wrong_count;
  for (const std::uint64_t wanted : pushed) {
    if (std::count(all.begin(), all.end(), wanted) != 1) ++wrong_count;
  }
  for (const std::uint64_t got : all) {
    const bool is_known = std::count(pushed.begin(), pushed.end(), got) == 1;
    if (!is_known && got != under_way) ++wrong_count;
  }
  return wrong_count;
}

void kill_at(std::uint32_t cut, bool is_producer, std::uint64_t slots, bool& is_over,
             Death& death) {
  const ExchangeBlocks blocks({slots, 4, 64});
  Stepper::current() = nullptr;
  std::vector<std::uint64_t> pushed;
  std::vector<std::uint64_t> finished;
  auto other = ExchangeProducer::attach(blocks.shared(), 1, blocks.geometry);
  std::uint64_t number = 1000;
  const auto push = [&] {
    if (other->try_push(message_of(number)) == Transfer::kDone) pushed.push_back(number);
    ++number;
  };
  push();
  std::uint64_t under_way = 0;  // what the victim is pushing
  Stepper stepper;
  stepper.start({[&] {
    std::span<const std::byte> got;
    if (is_producer) {
      auto end = SteppedProducer::attach(blocks.shared(), 2, blocks.geometry);
      for (under_way = 1; under_way <= 3; ++under_way) {
        if (end->try_push(message_of(under_way)) == Transfer::kDone) pushed.push_back(under_way);
      }
      return;
    }
    auto end = SteppedConsumer::attach(blocks.shared(), 2, blocks.geometry);
    for (int i = 0; i < 3; ++i) {
      if (end->try_take(got) != Transfer::kDone) continue;
      std::uint64_t which = 0;
      for (const std::uint64_t candidate : pushed) {
        if (has_pattern(got, candidate)) which = candidate;
      }
      end->finish();
      finished.push_back(which);
    }
  }});
  for (std::uint32_t i = 0; i < cut && !stepper.is_over(0); ++i) {
    stepper.resume(0);
    if (i % 7 == 3) push();
  }
  is_over = stepper.is_over(0);
  Stepper::current() = nullptr;
  // Others replace what the dead one may have left, so that evidence has to decide.
  auto drain = ExchangeConsumer::attach(blocks.shared(), 3, blocks.geometry);
  std::vector<std::uint64_t> all = finished;
  const auto take_all = [&](ExchangeConsumer& consumer) {
    std::span<const std::byte> got;
    while (consumer.try_take(got) == Transfer::kDone) {
      death.redelivered_count += consumer.redelivered() ? 1U : 0U;
      std::uint64_t which = 0;
      for (std::uint64_t candidate = 1; candidate < number; ++candidate) {
        if (candidate == 4) candidate = 1000;
        if (has_pattern(got, candidate)) which = candidate;
      }
      all.push_back(which);
    }
  };
  for (int lap = 0; lap < static_cast<int>(cut % 3); ++lap) {
    take_all(*drain);
    push();
  }
  take_all(*drain);
  if (!is_whole(blocks)) ++death.wrong_count;
  auto successor = ExchangeConsumer::attach(blocks.shared(), 2, blocks.geometry);
  take_all(*successor);
  death.wrong_count += wrong_in(pushed, under_way, std::move(all));
  ++death.cut_count;
}

Death kill_everywhere() {
  Death death;
  for (const bool is_producer : {true, false}) {
    for (const std::uint64_t slots : {1U, 2U, 4U}) {
      bool is_over = false;
      for (std::uint32_t cut = 0; !is_over && cut < 200; ++cut) {
        kill_at(cut, is_producer, slots, is_over, death);
      }
    }
  }
  return death;
}

TEST_CASE("exchange_ring: a death at any access leaks no buffer and loses no message") {
  const Death death = kill_everywhere();
  MESSAGE("deaths ", death.cut_count, ", redelivered ", death.redelivered_count);
  CHECK(death.wrong_count == 0);
  CHECK(death.cut_count > 100);
  CHECK(death.redelivered_count > 5);
}

TEST_CASE("exchange_ring: an intent stored too late is found by the census") {
  SteppedMemory::planted = Planted::kLateIntent;
  const Death death = kill_everywhere();
  SteppedMemory::planted = Planted::kNothing;
  SteppedMemory::late = {};
  CHECK(death.wrong_count > 0);
}

TEST_CASE("exchange_ring: a buffer number from outside the ring is answered, not used") {
  std::uint64_t corrupt_count = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    const ExchangeBlocks blocks({std::uint64_t{1} << random() % 6, 3, 64});
    for (int i = 0; i < 100; ++i) {
      const ExactBytes& target = random() % 2 == 0 ? blocks.ring.slots : blocks.ring.records;
      target.word(random() % (target.size_bytes() / 8) * 8)
          .store(random() >> random() % 64, std::memory_order_relaxed);
      std::span<const std::byte> got;
      if (auto end = ExchangeProducer::attach(blocks.shared(), 1, blocks.geometry); end) {
        REQUIRE(blocks.buffers.contains(end->reserve()));
        const Transfer answer = end->try_push(message_of(1));
        corrupt_count += answer == Transfer::kCorruptPeer ? 1U : 0U;
      }
      if (auto end = ExchangeConsumer::attach(blocks.shared(), 2, blocks.geometry); end) {
        if (end->try_take(got) == Transfer::kDone) REQUIRE(blocks.buffers.contains(got));
      }
    }
  }
  MESSAGE("corrupt answers ", corrupt_count);
  CHECK(corrupt_count > 0);
}

}  // namespace
}  // namespace slipring

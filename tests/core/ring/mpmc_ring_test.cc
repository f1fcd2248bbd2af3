#include "core/ring/mpmc_ring.h"

#include <doctest/doctest.h>

#include <numeric>
#include <random>

#include "tests/core/ring/mpmc_memory.h"

namespace slipring {
namespace {

MpmcProducer producer_of(const MpmcBlocks& blocks, std::uint32_t who) {
  return MpmcProducer::attach(blocks.shared(), who, blocks.geometry).value();
}
MpmcConsumer consumer_of(const MpmcBlocks& blocks, std::uint32_t who) {
  return MpmcConsumer::attach(blocks.shared(), who, blocks.geometry).value();
}

// Fills and empties the ring until `rounds` laps are through; every answer is exact.
void run_laps(const MpmcBlocks& blocks, std::uint32_t rounds) {
  MpmcProducer producer = producer_of(blocks, 1);
  MpmcConsumer consumer = consumer_of(blocks, 2);
  const std::uint64_t count = blocks.geometry.slot_count;
  const std::uint32_t mask =
      blocks.geometry.payload_bits == 32 ? UINT32_MAX : (1U << blocks.geometry.payload_bits) - 1;
  std::uint32_t next_in = 0;
  std::uint32_t next_out = 0;
  std::uint32_t got = 0;
  for (std::uint32_t round = 0; round < rounds; ++round) {
    for (std::uint64_t i = 0; i < count; ++i) {
      REQUIRE(producer.try_push(next_in++ & mask) == Transfer::kDone);
    }
    REQUIRE_FALSE(producer.has_space());
    REQUIRE(producer.try_push(0) == Transfer::kBlocked);
    for (std::uint64_t i = 0; i < count; ++i) {
      REQUIRE(consumer.has_message());
      REQUIRE(consumer.try_pop(got) == Transfer::kDone);
      REQUIRE(got == (next_out++ & mask));
    }
    REQUIRE(consumer.try_pop(got) == Transfer::kBlocked);
    REQUIRE_FALSE(consumer.has_message());
  }
}

TEST_CASE("mpmc_ring: holds exactly what was asked, in order, for every geometry") {
  std::uint32_t ring_count = 0;
  for (const std::uint64_t slots : {1U, 2U, 4U, 8U, 64U, 1024U}) {
    for (const std::uint32_t participants : {2U, 3U, 15U, 63U}) {
      for (const std::uint32_t bits : {1U, 8U, 16U, 31U, 32U}) {
        CAPTURE(slots);
        CAPTURE(participants);
        CAPTURE(bits);
        run_laps(MpmcBlocks({slots, participants, bits}), 5);
        ++ring_count;
      }
    }
  }
  CHECK(ring_count == 120);
}

// heapless and tokio: narrow counters that wrap.
TEST_CASE("mpmc_ring: goes through every wrap of its state") {
  for (const std::uint64_t slots : {1U, 2U, 8U}) {
    for (const std::uint32_t bits : {1U, 16U, 32U}) {
      MpmcBlocks blocks({slots, 63, bits});
      const MpmcShape shape(blocks.geometry);
      const std::uint64_t positions = shape.position_mask() + 1;
      for (const std::uint64_t start :
           {positions - 4 * slots, positions / 2 - 4 * slots, positions / 4 - 4 * slots,
            (std::uint64_t{1} << 16) - 4 * slots, (std::uint64_t{1} << 24) - 4 * slots}) {
        CAPTURE(slots);
        CAPTURE(bits);
        CAPTURE(start);
        blocks.start_at(start & shape.position_mask());
        run_laps(blocks, 8);
      }
    }
  }
}

TEST_CASE("mpmc_ring: what cannot be is refused") {
  CHECK_FALSE(mpmc_validate({3, 2, 32}));
  CHECK_FALSE(mpmc_validate({0, 2, 32}));
  CHECK_FALSE(mpmc_validate({kMaxMpmcSlots * 2, 2, 32}));
  CHECK_FALSE(mpmc_validate({8, 0, 32}));
  CHECK_FALSE(mpmc_validate({8, 64, 32}));
  CHECK_FALSE(mpmc_validate({8, 2, 0}));
  CHECK_FALSE(mpmc_validate({8, 2, 33}));
  const MpmcBlocks blocks({8, 2, 32});
  CHECK_FALSE(MpmcProducer::attach(blocks.shared(), 0, blocks.geometry));
  CHECK_FALSE(MpmcProducer::attach(blocks.shared(), 3, blocks.geometry));
}

TEST_CASE("mpmc_ring: batches take what there is, and no more than there is room") {
  const MpmcBlocks blocks({16, 2, 32});
  MpmcProducer producer = producer_of(blocks, 1);
  MpmcConsumer consumer = consumer_of(blocks, 2);
  std::array<std::uint32_t, 40> in{};
  std::iota(in.begin(), in.end(), 100U);
  std::array<std::uint32_t, 40> out{};
  CHECK(producer.try_push_batch({}) == 0);
  CHECK(consumer.try_pop_batch(out) == 0);
  CHECK(producer.try_push_batch(in) == 16);  // larger than the ring: what fits, without waiting
  std::size_t count = 0;
  while (const std::size_t more = consumer.try_pop_batch(std::span(out).subspan(count))) {
    CHECK(more <= kMpmcBatch);
    count += more;
  }
  CHECK(count == 16);
  for (std::size_t i = 0; i < count; ++i) CHECK(out[i] == in[i]);
}

// Disruptor: a claim by fetch-and-add on a full ring; here there is nothing to claim.
TEST_CASE("mpmc_ring: more producers than slots on a full ring all come back") {
  const MpmcBlocks blocks({2, 63, 32});
  for (std::uint32_t who = 1; who <= 62; ++who) {
    MpmcProducer producer = producer_of(blocks, who);
    CHECK(producer.try_push(who) == (who <= 2 ? Transfer::kDone : Transfer::kBlocked));
  }
  MpmcConsumer consumer = consumer_of(blocks, 63);
  std::uint32_t got = 0;
  for (const std::uint32_t wanted : {1U, 2U}) {
    REQUIRE(consumer.try_pop(got) == Transfer::kDone);
    CHECK(got == wanted);
  }
  CHECK(consumer.try_pop(got) == Transfer::kBlocked);
}

// DPDK and heapless: full or empty taken from two counters that belong to different instants.
TEST_CASE("mpmc_ring: an end that slept for many laps answers from what is there now") {
  for (const std::uint64_t slots : {1U, 8U, 256U}) {
    const MpmcBlocks blocks({slots, 4, 32});
    MpmcProducer sleeper = producer_of(blocks, 3);
    MpmcConsumer late = consumer_of(blocks, 4);
    for (const std::uint32_t laps : {1U, 2U, 3U, 17U, 1000U}) {
      run_laps(blocks, laps);
      std::uint32_t got = 0;
      CHECK(late.try_pop(got) == Transfer::kBlocked);
      CHECK(sleeper.try_push(laps) == Transfer::kDone);
      CHECK(late.try_pop(got) == Transfer::kDone);
      CHECK(got == laps);
    }
  }
}

// cloudtoid: a stop for exactly so many laps that the words look the same again.
TEST_CASE("mpmc_ring: a sleep of any number of laps between calls is harmless") {
  MpmcBlocks blocks({4, 3, 32});
  const MpmcShape shape(blocks.geometry);
  MpmcProducer sleeper = producer_of(blocks, 1);
  MpmcConsumer other = consumer_of(blocks, 2);
  REQUIRE(sleeper.try_push(1) == Transfer::kDone);
  for (std::uint64_t step = 1; step < 64; ++step) {
    // The ring as the others leave it: anywhere, round the whole range, with room.
    const std::uint64_t to = (shape.position_mask() / 64 * step) & ~std::uint64_t{3};
    blocks.start_at(to);
    std::uint32_t got = 0;
    CHECK(other.try_pop(got) == Transfer::kBlocked);
    CHECK(sleeper.try_push(77) == Transfer::kDone);
    CHECK(other.try_pop(got) == Transfer::kDone);
    CHECK(got == 77);
  }
}

TEST_CASE("mpmc_ring: what a consumer held comes again to its successor, marked") {
  const MpmcBlocks blocks({8, 3, 32});
  MpmcProducer producer = producer_of(blocks, 1);
  for (std::uint32_t i = 0; i < 6; ++i) REQUIRE(producer.try_push(i) == Transfer::kDone);
  std::array<std::uint32_t, 8> out{};
  {
    MpmcConsumer consumer = consumer_of(blocks, 2);
    CHECK(consumer.try_pop(out[0]) == Transfer::kDone);
    CHECK(consumer.try_pop_batch(std::span(out).first(3)) == 3);
  }
  CHECK_FALSE(MpmcProducer::attach(blocks.shared(), 2, blocks.geometry));  // 1, 2, 3 are owed
  for (int death = 0; death < 2; ++death) {
    MpmcConsumer successor = consumer_of(blocks, 2);
    for (const std::uint32_t wanted : {1U, 2U}) {
      CHECK(successor.try_pop(out[0]) == Transfer::kDone);
      CHECK(out[0] == wanted);
      CHECK(successor.redelivered());
    }
    successor.finish();  // 3 is still to come: not finished
  }
  const auto estate = mpmc_recover(blocks.shared(), 2, blocks.geometry);
  REQUIRE(estate);
  CHECK(estate.value().happened == 3);
  mpmc_settle(blocks.shared(), 2);
  CHECK(mpmc_recover(blocks.shared(), 2, blocks.geometry).value().count == 0);
  MpmcConsumer next = consumer_of(blocks, 2);
  CHECK(next.try_pop(out[0]) == Transfer::kDone);
  CHECK(out[0] == 4);
  CHECK_FALSE(next.redelivered());
}

// Attaches as participant 2, and dies in its call between its intent and its swap.
template <typename End, typename Call>
void die_announced(const MpmcBlocks& blocks, Call call) {
  const std::atomic<std::uint64_t>& intent = blocks.shared().records[1].intent;
  const std::uint64_t before = intent.load();
  Stepper stepper;
  stepper.start({[&] {
    auto end = End::attach(blocks.shared(), 2, blocks.geometry);
    call(end.value());
  }});
  while (intent.load() == before && !stepper.is_over(0)) stepper.resume(0);
  REQUIRE_FALSE(stepper.is_over(0));
  Stepper::current() = nullptr;
}

// The intents of lives that follow one another at one position differ in their bank only, and the
// third is word for word the first, which may have been settled.
TEST_CASE("mpmc_ring: what was settled once is not taken for settled when it is tried again") {
  using Producer = BasicMpmcProducer<SteppedMemory>;
  using Consumer = BasicMpmcConsumer<SteppedMemory>;
  for (std::uint32_t settled = 0; settled < 16; ++settled) {  // a bit for each death
    CAPTURE(settled);
    const MpmcBlocks pushed({4, 2, 32});
    const MpmcBlocks popped({4, 2, 32});
    REQUIRE(producer_of(popped, 1).try_push(7) == Transfer::kDone);
    for (std::uint32_t death = 0; death < 4; ++death) {
      die_announced<Producer>(pushed, [](Producer& end) { static_cast<void>(end.try_push(7)); });
      die_announced<Consumer>(popped, [](Consumer& end) {
        std::uint32_t got = 0;
        static_cast<void>(end.try_pop(got));
      });
      for (const MpmcBlocks* blocks : {&pushed, &popped}) {
        const auto estate = mpmc_recover(blocks->shared(), 2, blocks->geometry);
        REQUIRE(estate);
        CHECK(estate.value().count == 1);
        CHECK(estate.value().happened == 0);
        if ((settled >> death & 1) != 0) mpmc_settle(blocks->shared(), 2);
      }
    }
    std::uint32_t got = 0;
    REQUIRE(consumer_of(popped, 2).try_pop(got) == Transfer::kDone);  // and dies with it
    MpmcConsumer successor = consumer_of(popped, 2);
    REQUIRE(successor.try_pop(got) == Transfer::kDone);
    CHECK(successor.redelivered());
  }
}

// Somebody stopped before each of its accesses: the others do a whole workload.
TEST_CASE("mpmc_ring: an end stopped at any access delays nobody") {
  std::uint32_t stop_count = 0;
  for (const bool is_producer : {true, false}) {
    for (std::uint32_t cut = 0; cut < 40; ++cut) {
      const MpmcBlocks blocks({4, 4, 32});
      Stepper::current() = nullptr;
      MpmcProducer filler = producer_of(blocks, 1);
      REQUIRE(filler.try_push(5) == Transfer::kDone);
      Stepper stepper;
      stepper.start({[&] {
        std::uint32_t got = 0;
        if (is_producer) {
          auto end = BasicMpmcProducer<SteppedMemory>::attach(blocks.shared(), 3, blocks.geometry);
          for (std::uint32_t i = 0; i < 3; ++i) static_cast<void>(end.value().try_push(6 + i));
        } else {
          auto end = BasicMpmcConsumer<SteppedMemory>::attach(blocks.shared(), 3, blocks.geometry);
          for (int i = 0; i < 3; ++i) static_cast<void>(end.value().try_pop(got));
        }
      }});
      for (std::uint32_t i = 0; i < cut && !stepper.is_over(0); ++i) stepper.resume(0);
      if (stepper.is_over(0)) break;
      ++stop_count;
      std::uint32_t got = 0;
      MpmcConsumer consumer = consumer_of(blocks, 2);
      while (consumer.try_pop(got) == Transfer::kDone) {
      }
      run_laps(blocks, 50);
      while (!stepper.is_over(0)) stepper.resume(0);  // and it goes on as if nothing had been
      Stepper::current() = nullptr;
      std::uint32_t left = 0;
      while (consumer.try_pop(got) == Transfer::kDone) ++left;
      CHECK(left <= 3);
    }
  }
  Stepper::current() = nullptr;
  MESSAGE("stops ", stop_count);
  CHECK(stop_count > 30);
}

TEST_CASE("mpmc_ring: any value in any word gets an answer, and nothing outside is touched") {
  std::uint64_t call_count = 0;
  std::uint64_t corrupt_count = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const MpmcBlocks blocks({std::uint64_t{1} << random() % 8,
                             1 + static_cast<std::uint32_t>(random() % 63),
                             1 + static_cast<std::uint32_t>(random() % 32)});
    const auto scribble = [&](const ExactBytes& bytes) {
      const std::uint64_t value = random() >> random() % 64;
      bytes.word(random() % (bytes.size_bytes() / 8) * 8).store(value, std::memory_order_relaxed);
    };
    for (int i = 0; i < 200; ++i) {
      scribble(random() % 2 == 0 ? blocks.slots : blocks.records);
      const auto who = 1 + static_cast<std::uint32_t>(random() % blocks.geometry.participant_count);
      std::array<std::uint32_t, 8> payloads{};
      if (auto end = MpmcProducer::attach(blocks.shared(), who, blocks.geometry); end) {
        scribble(blocks.slots);
        corrupt_count += end.value().try_push(1) == Transfer::kCorruptPeer ? 1U : 0U;
        end.value().try_push_batch(payloads);
      }
      if (auto end = MpmcConsumer::attach(blocks.shared(), who, blocks.geometry); end) {
        scribble(blocks.slots);
        corrupt_count += end.value().try_pop(payloads[0]) == Transfer::kCorruptPeer ? 1U : 0U;
        end.value().try_pop_batch(payloads);
      }
      static_cast<void>(mpmc_recover(blocks.shared(), who, blocks.geometry));
      call_count += 5;
    }
  }
  MESSAGE("calls ", call_count, ", found corrupt ", corrupt_count);
  CHECK(corrupt_count > 0);
}

}  // namespace
}  // namespace slipring

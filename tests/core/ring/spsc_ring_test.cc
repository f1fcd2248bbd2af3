#include "core/ring/spsc_ring.h"

#include <doctest/doctest.h>

#include <array>
#include <numeric>
#include <vector>

#include "tests/core/error/dies.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring {
namespace {

constexpr std::uint64_t kNear32 = (std::uint64_t{1} << 32) - 3;
constexpr std::uint64_t kNear63 = (std::uint64_t{1} << 63) - 1;
constexpr std::array<std::uint64_t, 7> kCounts{1, 2, 3, 5, 7, 8, 1000};

using Number = std::uint64_t;

// A value that is neither a power of two long nor a whole number of words.
struct Odd {
  std::array<std::byte, 13> bytes;
};

template <typename T>
T value_of(std::uint64_t number) {
  T value;
  write_pattern(std::as_writable_bytes(std::span(&value, 1)), number);
  return value;
}
template <typename T>
bool is_value(const T& value, std::uint64_t number) {
  return has_pattern(std::as_bytes(std::span(&value, 1)), number);
}

template <typename T>
struct Ring {
  explicit Ring(const SpscGeometry& geometry)
      : memory(geometry), producer(memory.producer()), consumer(memory.consumer()) {}

  // The next value's number is its position in every test here.
  Transfer push() { return producer.try_push(value_of<T>(producer.position())); }
  bool pops_in_order() {
    const std::uint64_t number = consumer.position();
    T value;
    return consumer.try_pop(value) == Transfer::kDone && is_value(value, number);
  }
  void push_many(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) REQUIRE(push() == Transfer::kDone);
  }
  void pop_many(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) REQUIRE(pops_in_order());
  }
  void pops_no_more() {
    T value;
    CHECK_FALSE(consumer.has_value());
    CHECK(consumer.try_pop(value) == Transfer::kBlocked);
  }

  SpscMemory<T> memory;
  SpscProducer<T> producer;
  SpscConsumer<T> consumer;
};

TEST_CASE("spsc_ring: a geometry out of range is refused with the offending value") {
  CHECK(spsc_validate({1, 0}).ok());
  CHECK(spsc_validate({kMaxSpscSlotCount, kNear63}).ok());
  for (const std::uint64_t count : {std::uint64_t{0}, kMaxSpscSlotCount + 1, UINT64_MAX}) {
    const Status refused = spsc_validate({count, 0});
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == ErrorCode::kInvalidArgument);
    CHECK(refused.error().found == count);
  }
  for (const std::uint64_t start : {kNear63 + 1, UINT64_MAX}) {
    const Status refused = spsc_validate({8, start});
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().found == start);
  }
  SpscMemory<Number> memory({8, 0});
  memory.geometry.slot_count = 0;
  CHECK_FALSE(memory.try_producer().ok());
  CHECK_FALSE(memory.try_consumer().ok());
}

template <typename T>
void holds_exactly(std::uint64_t count, std::uint64_t start) {
  CAPTURE(count);
  CAPTURE(start);
  Ring<T> ring({count, start});
  for (int lap = 0; lap < 3; ++lap) {
    ring.pops_no_more();
    for (std::uint64_t i = 0; i < count; ++i) {
      REQUIRE(ring.producer.has_space());
      REQUIRE(ring.push() == Transfer::kDone);
    }
    CHECK_FALSE(ring.producer.has_space());
    CHECK(ring.push() == Transfer::kBlocked);
    CHECK(ring.consumer.has_value());
    ring.pop_many(count);
  }
  CHECK(ring.producer.slot_count() == count);
  CHECK(ring.producer.position() == start + 3 * count);
  CHECK(ring.consumer.done() == start + 3 * count);
}

TEST_CASE("spsc_ring: holds exactly slot_count values, in order, from any start position") {
  for (const std::uint64_t count : kCounts) {
    for (const std::uint64_t start :
         {std::uint64_t{0}, std::uint64_t{5}, kNear32, kNear63 - count, kNear63}) {
      holds_exactly<Number>(count, start);
      holds_exactly<std::uint8_t>(count, start);
      holds_exactly<Odd>(count, start);
    }
  }
}

TEST_CASE("spsc_ring: a full ring takes one more as soon as one was finished") {
  for (const std::uint64_t count : kCounts) {
    CAPTURE(count);
    Ring<Number> ring({count, kNear32});
    ring.push_many(count);
    for (std::uint64_t i = 0; i < 2 * count; ++i) {
      REQUIRE(ring.push() == Transfer::kBlocked);
      REQUIRE(ring.pops_in_order());
      REQUIRE(ring.producer.has_space());  // whatever credit was given
      REQUIRE(ring.push() == Transfer::kDone);
    }
    ring.pop_many(count);
  }
}

TEST_CASE("spsc_ring: never more than a quarter of the ring is kept back, and nothing when idle") {
  for (const std::uint64_t count : kCounts) {
    CAPTURE(count);
    Ring<Number> ring({count, 0});
    ring.push_many(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      REQUIRE(ring.pops_in_order());
      REQUIRE(ring.consumer.done() - ring.consumer.credit_given() <= count / 4);
    }
    ring.pops_no_more();
    CHECK(ring.consumer.credit_given() == ring.consumer.done());
    CHECK(ring.memory.consumer_page->credit.load(std::memory_order_relaxed) == count);
  }
}

TEST_CASE("spsc_ring: a batch moves what fits, whatever its length and the place in the lap") {
  std::uint64_t batch_count = 0;
  for (const std::uint64_t count : {1U, 2U, 3U, 5U, 7U, 8U}) {
    for (std::uint64_t offset = 0; offset <= count; ++offset) {
      for (std::uint64_t filled = 0; filled <= count; ++filled) {
        for (std::size_t size = 0; size <= 2 * count + 1; ++size) {
          Ring<Number> ring({count, kNear32});
          ring.push_many(offset);
          ring.pop_many(offset);
          ring.pops_no_more();
          ring.push_many(filled);
          std::vector<Number> values(size);
          const std::uint64_t first = ring.producer.position();
          for (std::size_t i = 0; i < size; ++i) values[i] = value_of<Number>(first + i);
          std::size_t pushed = 99;
          const Transfer in = ring.producer.try_push_batch(values, pushed);
          const std::uint64_t fits = std::min<std::uint64_t>(size, count - filled);
          REQUIRE(pushed == fits);
          REQUIRE(in == (fits == 0 && size != 0 ? Transfer::kBlocked : Transfer::kDone));

          const std::uint64_t next = ring.consumer.position();
          std::size_t popped = 99;
          const Transfer out = ring.consumer.try_pop_batch(values, popped);
          const std::uint64_t there = std::min<std::uint64_t>(size, filled + fits);
          REQUIRE(popped == there);
          REQUIRE(out == (there == 0 && size != 0 ? Transfer::kBlocked : Transfer::kDone));
          for (std::size_t i = 0; i < popped; ++i) REQUIRE(is_value(values[i], next + i));
          ring.pop_many(filled + fits - there);
          ring.pops_no_more();
          ++batch_count;
        }
      }
    }
  }
  MESSAGE("batches: ", batch_count);
  CHECK(batch_count == 4 * 4 + 6 * 9 + 8 * 16 + 12 * 36 + 16 * 64 + 18 * 81);
}

TEST_CASE("spsc_ring: what lies together is reserved, filled in place and shown by commit()") {
  for (const std::uint64_t count : {1U, 3U, 5U, 8U}) {
    const std::uint64_t places = spsc_place_count({count, 0});
    for (std::uint64_t offset = 0; offset < places; ++offset) {
      for (std::uint64_t kept = 0; kept <= count; ++kept) {
        Ring<Odd> ring({count, offset});
        std::span<Odd> slots;
        REQUIRE(ring.producer.try_reserve(slots) == Transfer::kDone);
        REQUIRE(slots.size() == std::min(count, places - offset));
        REQUIRE(ring.memory.slots.contains(std::as_bytes(slots)));
        if (kept > slots.size()) continue;
        for (std::size_t i = 0; i < slots.size(); ++i) slots[i] = value_of<Odd>(offset + i);
        ring.pops_no_more();
        ring.producer.commit(kept);
        REQUIRE(ring.producer.position() == offset + kept);
        // The rest was never there, and is reserved again.
        if (kept < count) {
          REQUIRE(ring.producer.try_reserve(slots) == Transfer::kDone);
          REQUIRE(slots.data() == ring.memory.first() + ((offset + kept) & (places - 1)));
        }
        ring.pop_many(kept);
        ring.pops_no_more();
      }
    }
  }
}

TEST_CASE("spsc_ring: values are peeked at in place across the wrap and finished from the front") {
  Ring<Number> ring({5, 6});  // eight places: two values before the end, three behind it
  ring.push_many(5);
  std::span<const Number> first;
  std::span<const Number> second;
  std::span<const Number> none;
  REQUIRE(ring.consumer.try_peek(first) == Transfer::kDone);
  REQUIRE(ring.consumer.try_peek(second) == Transfer::kDone);
  CHECK(ring.consumer.try_peek(none) == Transfer::kBlocked);
  REQUIRE(first.size() == 2);
  REQUIRE(second.size() == 3);
  CHECK(second.data() == ring.memory.first());
  for (std::uint64_t i = 0; i < 5; ++i) {
    CHECK(is_value(i < 2 ? first[i] : second[i - 2], 6 + i));
  }
  CHECK(ring.consumer.position() == 11);
  CHECK(ring.consumer.done() == 6);
  // Held values keep the ring full.
  CHECK_FALSE(ring.producer.has_space());
  CHECK(ring.push() == Transfer::kBlocked);
  ring.consumer.release(3);
  CHECK(ring.consumer.done() == 9);
  ring.consumer.publish_credit();
  ring.push_many(3);
  CHECK(ring.push() == Transfer::kBlocked);
  CHECK(is_value(second[1], 9));  // still held, so still there
  ring.consumer.release(2);
  ring.pop_many(3);
  ring.pops_no_more();
}

TEST_CASE("spsc_ring: our own mistakes stop the process") {
  Ring<Number> ring({4, 0});
  ring.push_many(2);
  CHECK(dies([&] { ring.producer.commit(3); }));
  CHECK(dies([&] { ring.consumer.release(1); }));
  std::span<const Number> values;
  REQUIRE(ring.consumer.try_peek(values) == Transfer::kDone);
  CHECK(dies([&] { ring.consumer.release(3); }));
  CHECK(dies([&] { static_cast<void>(ring.consumer.skip_aborted()); }));
  // Free, but beyond the end of the lap and so never given by try_reserve().
  Ring<Number> late({4, 3});
  CHECK(dies([&] { late.producer.commit(2); }));
  CHECK_FALSE(dies([&] { late.producer.commit(1); }));
}

TEST_CASE("spsc_ring: what was aborted is left behind in one step, what follows is not") {
  for (const std::uint64_t start : {std::uint64_t{0}, kNear32, kNear63}) {
    for (std::uint64_t read = 0; read <= 3; ++read) {
      Ring<Number> ring({8, start});
      ring.push_many(3);
      ring.pop_many(read);
      CHECK_FALSE(ring.consumer.has_abort());
      CHECK(ring.consumer.skip_aborted() == 0);
      ring.producer.abort_published();
      ring.push_many(2);
      CHECK(ring.consumer.has_abort() == (read != 3));
      CHECK(ring.consumer.skip_aborted() == 3 - read);
      CHECK_FALSE(ring.consumer.has_abort());
      CHECK(ring.consumer.done() == start + 3);
      CHECK((read == 3 || ring.consumer.credit_given() == start + 3));
      ring.pop_many(2);
      ring.pops_no_more();
    }
  }
}

TEST_CASE("spsc_ring: successors of either end go on at every fill level, with all of the room") {
  for (const std::uint64_t count : {1U, 2U, 3U, 5U, 8U}) {
    for (const std::uint64_t start : {std::uint64_t{0}, kNear32, kNear63 - count}) {
      for (std::uint64_t filled = 0; filled <= count; ++filled) {
        for (std::uint64_t popped = 0; popped <= filled; ++popped) {
          CAPTURE(count);
          CAPTURE(filled);
          CAPTURE(popped);
          Ring<Number> ring({count, start});
          ring.push_many(filled);
          ring.pop_many(popped);
          ring.producer = ring.memory.producer();
          CHECK(ring.producer.position() == start + filled);
          ring.push_many(count - filled + popped);  // exact, whatever credit was given
          CHECK(ring.push() == Transfer::kBlocked);
          ring.consumer = ring.memory.consumer();
          CHECK(ring.consumer.redelivered_count() == 0);
          ring.pop_many(count);
          ring.pops_no_more();
        }
      }
    }
  }
}

TEST_CASE("spsc_ring: what was held and not finished comes again, and is counted as such") {
  Ring<Number> ring({8, kNear63});
  ring.push_many(5);
  std::span<const Number> held;
  while (ring.consumer.try_peek(held) == Transfer::kDone) {
  }
  ring.consumer.release(2);
  for (int death = 0; death < 3; ++death) {
    // The mark also stays for the successor of a successor that had not got as far.
    ring.consumer = ring.memory.consumer();
    CHECK(ring.consumer.redelivered_count() == 3);
    CHECK(ring.consumer.position() == kNear63 + 2);
    if (death == 1) REQUIRE(ring.consumer.try_peek(held) == Transfer::kDone);
  }
  ring.push_many(1);
  ring.pop_many(1);
  CHECK(ring.consumer.redelivered_count() == 2);
  ring.pop_many(3);
  CHECK(ring.consumer.redelivered_count() == 0);
  ring.pops_no_more();
}

TEST_CASE("spsc_ring: impossible words are answered, and an end keeps no grudge") {
  Ring<Number> ring({8, 100});
  ring.push_many(5);
  ring.pop_many(3);
  std::atomic<std::uint64_t>& tail = ring.memory.producer_page->tail;
  std::array<Number, 8> values;
  std::size_t count = 0;
  for (const std::uint64_t lie : {std::uint64_t{0}, std::uint64_t{102}, std::uint64_t{103},
                                  std::uint64_t{104}, std::uint64_t{112}, UINT64_MAX}) {
    CAPTURE(lie);
    tail.store(lie, std::memory_order_relaxed);
    // Two values are known of; asking for more makes it look.
    CHECK(ring.consumer.try_pop_batch(values, count) == Transfer::kCorruptPeer);
    CHECK(count == 0);
    CHECK(ring.consumer.position() == 103);
  }
  ring.pop_many(2);
  for (const std::uint64_t lie :
       {std::uint64_t{0}, std::uint64_t{104}, std::uint64_t{114}, UINT64_MAX}) {
    CAPTURE(lie);
    tail.store(lie, std::memory_order_relaxed);
    std::span<const Number> view;
    CHECK(ring.consumer.has_value());
    CHECK(ring.consumer.try_pop(values[0]) == Transfer::kCorruptPeer);
    CHECK(ring.consumer.try_peek(view) == Transfer::kCorruptPeer);
  }
  tail.store(105, std::memory_order_relaxed);
  ring.pops_no_more();

  ring.push_many(8);
  std::atomic<std::uint64_t>& credit = ring.memory.consumer_page->credit;
  for (const std::uint64_t lie : {std::uint64_t{114}, UINT64_MAX}) {
    CAPTURE(lie);
    credit.store(lie, std::memory_order_relaxed);
    std::span<Number> slots;
    CHECK(ring.producer.has_space());
    CHECK(ring.push() == Transfer::kCorruptPeer);
    CHECK(ring.producer.try_reserve(slots) == Transfer::kCorruptPeer);
    CHECK(ring.producer.try_push_batch(values, count) == Transfer::kCorruptPeer);
    CHECK(count == 0);
  }
  // Going backwards is a lie that gains nothing.
  credit.store(1, std::memory_order_relaxed);
  CHECK(ring.push() == Transfer::kBlocked);
  credit.store(105, std::memory_order_relaxed);
  ring.pop_many(8);
}

}  // namespace
}  // namespace slipring

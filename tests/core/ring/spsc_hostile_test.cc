// A peer of a typed ring that writes anything it may write, at any time: no access outside the
// ring, no stop, no cursor of ours that a successor could not use.  The blocks have their exact
// sizes; run it with --config=asan.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "core/ring/spsc_ring.h"
#include "tests/core/ring/hostile_words.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring {
namespace {

// Seven slots in eight places, so that the unused place is there to be found out.
struct SpscScene {
  using Value = std::array<std::byte, 24>;

  explicit SpscScene(std::uint64_t filled, std::uint64_t start)
      : memory({7, start}), producer(memory.producer()), consumer(memory.consumer()) {
    Value value{};
    for (std::uint64_t i = 0; i < 5 + filled; ++i) {
      REQUIRE(producer.try_push(value) == Transfer::kDone);
      if (i < 5) REQUIRE(consumer.try_pop(value) == Transfer::kDone);
    }
  }
  // All that a consumer can do, as often as the ring could need; then a successor must do.
  void exercise(SpscConsumer<Value>& end) {
    std::array<Value, 20> values;
    std::size_t popped = 0;
    const std::uint64_t first = end.position();
    static_cast<void>(end.has_value());
    std::span<const Value> seen;
    for (int i = 0; i < 10 && end.try_peek(seen) == Transfer::kDone; ++i) {
      REQUIRE(memory.slots.contains(std::as_bytes(seen)));
      static_cast<void>(sum(std::as_bytes(seen)));
      REQUIRE(end.position() - end.done() <= 7);
      if (i % 3 == 2) end.release(1);
    }
    end.release(static_cast<std::size_t>(end.position() - end.done()));
    if (end.try_pop_batch(values, popped) == Transfer::kDone) REQUIRE(popped <= 7);
    static_cast<void>(end.try_pop(values[0]));
    REQUIRE(end.skip_aborted() <= 7);
    REQUIRE(end.position() - first <= 21);
    REQUIRE(memory.consumer_page->done.load(std::memory_order_relaxed) == end.done());
    REQUIRE(memory.try_consumer().ok());
  }
  // No more than a free lap, and one that a lie gives away.
  void exercise(SpscProducer<Value>& end) {
    const std::uint64_t first = end.position();
    const std::array<Value, 20> values{};
    std::size_t pushed = 0;
    static_cast<void>(end.has_space());
    for (int i = 0; i < 20; ++i) {
      std::span<Value> slots;
      if (end.try_reserve(slots) != Transfer::kDone) break;
      REQUIRE(memory.slots.contains(std::as_bytes(slots)));
      std::ranges::fill(slots, values[0]);
      end.commit(slots.size());
      static_cast<void>(end.try_push_batch(values, pushed));
      static_cast<void>(end.try_push(values[0]));
    }
    REQUIRE(end.position() - first <= 14);
  }

  SpscMemory<Value> memory;
  SpscProducer<Value> producer;
  SpscConsumer<Value> consumer;
};

TEST_CASE("hostile values: any value in any word of either page") {
  int attack_count = 0;
  for (const std::uint64_t start : {std::uint64_t{0}, (std::uint64_t{1} << 32) - 3}) {
    for (const std::uint64_t filled : {0U, 1U, 5U, 7U}) {
      for (int word = 0; word < 5; ++word) {
        for (const std::uint64_t value : interesting(start + 5 + (word < 2 ? filled : 0), 7)) {
          SpscScene scene(filled, start);
          ProducerPage& producer_page = *scene.memory.producer_page;
          ConsumerPage& consumer_page = *scene.memory.consumer_page;
          const std::array<std::atomic<std::uint64_t>*, 5> words{
              &producer_page.tail, &producer_page.abort_before, &consumer_page.credit,
              &consumer_page.done, &consumer_page.taken};
          words[static_cast<std::size_t>(word)]->store(value, std::memory_order_relaxed);
          if (word < 2) {
            scene.exercise(scene.consumer);
            if (auto late = scene.memory.try_consumer()) scene.exercise(late.value());
          } else {
            scene.exercise(scene.producer);
            if (auto late = scene.memory.try_producer()) scene.exercise(late.value());
            static_cast<void>(scene.memory.try_consumer().ok());
          }
          ++attack_count;
        }
      }
    }
  }
  MESSAGE("attacks: ", attack_count);
  CHECK(attack_count == 2 * 4 * 5 * 23);
}

TEST_CASE("hostile values: an abort fence beyond what is published is not followed") {
  SpscScene scene(2, 0);
  for (const std::uint64_t fence :
       {std::uint64_t{8}, std::uint64_t{12}, std::uint64_t{1} << 40, UINT64_MAX}) {
    scene.memory.producer_page->abort_before.store(fence, std::memory_order_relaxed);
    CAPTURE(fence);
    CHECK(scene.consumer.skip_aborted() == 0);
    CHECK(scene.consumer.position() == 5);
  }
  scene.memory.producer_page->abort_before.store(7, std::memory_order_relaxed);
  CHECK(scene.consumer.skip_aborted() == 2);
}

TEST_CASE("hostile values: an end does not attach to cursors that contradict the ring") {
  SpscScene scene(2, 0);
  std::atomic<std::uint64_t>& done = scene.memory.consumer_page->done;
  std::atomic<std::uint64_t>& taken = scene.memory.consumer_page->taken;
  for (const std::uint64_t lie : {std::uint64_t{8}, UINT64_MAX}) {
    done.store(lie, std::memory_order_relaxed);
    CHECK_FALSE(scene.memory.try_producer().ok());
  }
  done.store(5, std::memory_order_relaxed);
  for (const std::uint64_t lie : {std::uint64_t{13}, UINT64_MAX}) {
    taken.store(lie, std::memory_order_relaxed);
    CHECK_FALSE(scene.memory.try_consumer().ok());
  }
  for (const std::uint64_t lie : {std::uint64_t{4}, std::uint64_t{13}, UINT64_MAX}) {
    scene.memory.producer_page->tail.store(lie, std::memory_order_relaxed);
    CHECK_FALSE(scene.memory.try_producer().ok());
  }
}

}  // namespace
}  // namespace slipring

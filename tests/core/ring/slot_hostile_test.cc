// A peer of a slot ring that writes anything it may write, at any time: no access outside the ring,
// no stop, no cursor of ours that a successor could not use.  The blocks have their exact sizes;
// run it with --config=asan.

#include <doctest/doctest.h>

#include <array>

#include "core/ring/slot_ring.h"
#include "tests/core/ring/hostile_words.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring {
namespace {

// All that a consumer can do, as often as a ring could need; then its own page must still be one
// that a successor takes over.
void exercise_consumer(SlotRingMemory& memory, SlotConsumer& consumer) {
  for (std::uint64_t i = 0; i < 2 * memory.geometry.slot_count + 2; ++i) {
    static_cast<void>(consumer.has_message());
    SlotView view;
    if (consumer.try_peek(view) != Transfer::kDone) break;
    REQUIRE(memory.slots.contains(view.message));
    static_cast<void>(sum(view.message));
    REQUIRE(consumer.position() - consumer.done() <= memory.geometry.slot_count);
    if (i % 3 == 2) consumer.release(view);
  }
  const ConsumerPage& page = *memory.consumer_page;
  REQUIRE(page.taken.load(std::memory_order_relaxed) - consumer.done() <=
          memory.geometry.slot_count);
  REQUIRE(page.done.load(std::memory_order_relaxed) == consumer.done());
  if (consumer.position() == consumer.done()) {
    REQUIRE(consumer.skip_aborted() <= memory.geometry.slot_count);
  }
}

struct SlotScene {
  explicit SlotScene(std::uint64_t filled, std::uint64_t start)
      : memory({8, 24, start}), producer(memory.producer()), consumer(memory.consumer()) {
    std::array<std::byte, 24> message{};
    for (std::uint64_t i = 0; i < 5 + filled; ++i) {
      if (i < 5) {
        REQUIRE(producer.try_push(message) == Transfer::kDone);
        REQUIRE(consumer.try_pop(message) == Transfer::kDone);
        consumer.publish_credit();
      } else {
        REQUIRE(producer.try_push(message) == Transfer::kDone);
      }
    }
  }
  SlotRingMemory memory;
  SlotProducer producer;
  SlotConsumer consumer;
};

TEST_CASE("hostile slots: any value in any word of the producer's memory") {
  int attack_count = 0;
  for (const std::uint64_t start : {std::uint64_t{0}, (std::uint64_t{1} << 32) - 3}) {
    for (const std::uint64_t filled : {0U, 1U, 5U, 8U}) {
      for (int word = 0; word < 10; ++word) {
        for (const std::uint64_t value : interesting(start + 5 + filled, 8)) {
          SlotScene scene(filled, start);
          std::atomic<std::uint64_t>& target =
              word == 0   ? scene.memory.producer_page->tail
              : word == 1 ? scene.memory.producer_page->abort_before
                          : scene.memory.sequence(static_cast<std::uint64_t>(word - 2));
          target.store(value, std::memory_order_relaxed);
          exercise_consumer(scene.memory, scene.consumer);
          if (Result<SlotConsumer> late = scene.memory.try_consumer(); late) {
            exercise_consumer(scene.memory, late.value());
          }
          ++attack_count;
        }
      }
    }
  }
  MESSAGE("attacks: ", attack_count);
  CHECK(attack_count == 2 * 4 * 10 * 23);
}

TEST_CASE("hostile slots: any value in any word of the consumer's page") {
  int attack_count = 0;
  for (const std::uint64_t start : {std::uint64_t{0}, (std::uint64_t{1} << 32) - 3}) {
    for (const std::uint64_t filled : {0U, 1U, 7U, 8U}) {
      for (int word = 0; word < 3; ++word) {
        for (const std::uint64_t value : interesting(start + 5, 8)) {
          SlotScene scene(filled, start);
          ConsumerPage& page = *scene.memory.consumer_page;
          (word == 0   ? page.credit
           : word == 1 ? page.done
                       : page.taken)
              .store(value, std::memory_order_relaxed);
          const auto fill = [&](SlotProducer& producer) {
            const std::uint64_t first = producer.position();
            for (std::uint64_t done = producer.done(); done != first; ++done) {
              REQUIRE(scene.memory.slots.contains(producer.published(done)));
              REQUIRE(first - done <= 8);
            }
            for (int i = 0; i < 20; ++i) {
              std::span<std::byte> slot;
              static_cast<void>(producer.has_space());
              if (producer.try_reserve(slot) != Transfer::kDone) break;
              REQUIRE(scene.memory.slots.contains(slot));
              write_pattern(slot, 1);
              producer.commit();
            }
            // A lap that was free, and one that the lie gives away.
            REQUIRE(producer.position() - first <= 16);
          };
          fill(scene.producer);
          if (Result<SlotProducer> late = scene.memory.try_producer(); late) fill(late.value());
          ++attack_count;
        }
      }
    }
  }
  MESSAGE("attacks: ", attack_count);
  CHECK(attack_count == 2 * 4 * 3 * 23);
}

TEST_CASE("hostile slots: the impossible is answered with kCorruptPeer, and a waiter is woken") {
  SlotScene scene(0, 0);
  SlotView view;
  for (const std::uint64_t sequence : {std::uint64_t{1}, std::uint64_t{5}, std::uint64_t{7},
                                       std::uint64_t{14}, UINT64_MAX, UINT64_MAX - 7}) {
    scene.memory.sequence(5).store(sequence, std::memory_order_relaxed);
    CAPTURE(sequence);
    CHECK(scene.consumer.has_message());
    CHECK(scene.consumer.try_peek(view) == Transfer::kCorruptPeer);
  }
  // The ring keeps no grudge: it looks anew.
  scene.memory.sequence(5).store(0, std::memory_order_relaxed);
  CHECK_FALSE(scene.consumer.has_message());
  CHECK(scene.consumer.try_peek(view) == Transfer::kBlocked);

  for (int i = 0; i < 8; ++i) {
    std::span<std::byte> slot;
    if (scene.producer.try_reserve(slot) != Transfer::kDone) break;
    scene.producer.commit();
  }
  scene.memory.consumer_page->credit.store(14, std::memory_order_relaxed);
  std::span<std::byte> slot;
  CHECK(scene.producer.has_space());
  CHECK(scene.producer.try_reserve(slot) == Transfer::kCorruptPeer);
}

TEST_CASE("hostile slots: a slot overwritten while all are held is not handed out twice") {
  SlotScene scene(8, 0);
  std::array<SlotView, 8> views;
  for (SlotView& view : views) REQUIRE(scene.consumer.try_peek(view) == Transfer::kDone);
  scene.memory.sequence(13).store(14, std::memory_order_relaxed);
  SlotView ninth;
  CHECK(scene.consumer.try_peek(ninth) == Transfer::kCorruptPeer);
  CHECK(scene.memory.consumer_page->taken.load(std::memory_order_relaxed) == 13);
  scene.consumer.release(views[7]);
  CHECK(scene.memory.try_consumer().ok());
}

TEST_CASE("hostile slots: an abort fence beyond what is published is not followed") {
  SlotScene scene(2, 0);
  for (const std::uint64_t fence : {std::uint64_t{8}, std::uint64_t{13}, std::uint64_t{14},
                                    std::uint64_t{1} << 40, UINT64_MAX}) {
    scene.memory.producer_page->abort_before.store(fence, std::memory_order_relaxed);
    CAPTURE(fence);
    CHECK(scene.consumer.skip_aborted() == 0);
    CHECK(scene.consumer.position() == 5);
  }
  scene.memory.producer_page->abort_before.store(7, std::memory_order_relaxed);
  CHECK(scene.consumer.skip_aborted() == 2);
}

TEST_CASE("hostile slots: an end does not attach to cursors that contradict the ring") {
  {
    SlotScene scene(2, 0);
    for (const std::uint64_t done : {std::uint64_t{8}, UINT64_MAX}) {
      scene.memory.consumer_page->done.store(done, std::memory_order_relaxed);
      CHECK_FALSE(scene.memory.try_producer().ok());
    }
  }
  {
    SlotScene scene(2, 0);
    scene.memory.consumer_page->done.store(9, std::memory_order_relaxed);
    CHECK_FALSE(scene.memory.try_consumer().ok());
    scene.memory.consumer_page->done.store(8, std::memory_order_relaxed);
    CHECK(scene.memory.try_consumer().ok());
    scene.memory.consumer_page->done.store(5, std::memory_order_relaxed);
    scene.memory.consumer_page->taken.store(14, std::memory_order_relaxed);
    CHECK_FALSE(scene.memory.try_consumer().ok());
  }
  {
    SlotScene scene(2, 0);
    for (const std::uint64_t tail :
         {std::uint64_t{3}, std::uint64_t{9}, std::uint64_t{12}, std::uint64_t{15}, UINT64_MAX}) {
      scene.memory.producer_page->tail.store(tail, std::memory_order_relaxed);
      CAPTURE(tail);
      CHECK_FALSE(scene.memory.try_producer().ok());
    }
  }
}

}  // namespace
}  // namespace slipring

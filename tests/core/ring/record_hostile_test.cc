// A peer of a record ring that writes anything it may write, at any time: no access outside the
// ring, no stop, no cursor of ours that a successor could not use.  The blocks have their exact
// sizes; run it with --config=asan.

#include <doctest/doctest.h>

#include <array>
#include <deque>
#include <random>
#include <vector>

#include "core/ring/record_ring.h"
#include "tests/core/ring/hostile_words.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring {
namespace {

struct RecordScene {
  explicit RecordScene(std::uint64_t filled, std::uint64_t start)
      : memory({256, start}), producer(memory.producer()), consumer(memory.consumer()) {
    const std::array<std::byte, 16> message{};
    for (int i = 0; i < 9; ++i) {
      REQUIRE(producer.try_push(message) == Transfer::kDone);
      RecordView view;
      REQUIRE(consumer.try_peek(view) == Transfer::kDone);
      consumer.release(view);
      consumer.publish_credit();
    }
    for (std::uint64_t i = 0; i < filled; ++i) {
      REQUIRE(producer.try_push(message) == Transfer::kDone);
    }
  }
  RecordMemory memory;
  RecordProducer producer;
  RecordConsumer consumer;
};

void exercise_consumer(RecordMemory& memory, RecordConsumer& consumer) {
  const std::uint64_t capacity = memory.geometry.capacity_bytes;
  for (std::uint64_t i = 0; i < capacity; ++i) {
    static_cast<void>(consumer.has_message());
    RecordView view;
    if (consumer.try_peek(view) != Transfer::kDone) break;
    REQUIRE(memory.bytes.contains(view.message));
    static_cast<void>(sum(view.message));
    REQUIRE(view.end_position > view.position);
    REQUIRE(consumer.position() % 8 == 0);
    REQUIRE(consumer.position() - consumer.done() <= capacity);
    if (i % 3 == 2) consumer.release(view);
  }
  const ConsumerPage& page = *memory.consumer_page;
  const std::uint64_t done = page.done.load(std::memory_order_relaxed);
  REQUIRE(done == consumer.done());
  REQUIRE((page.taken.load(std::memory_order_relaxed) - done <= capacity ||
           page.taken.load(std::memory_order_relaxed) < done));
  REQUIRE(consumer.skip_aborted() <= capacity);
  REQUIRE(memory.try_consumer().ok());
}

TEST_CASE("hostile record: any value in tail, abort_before, and any header") {
  int attack_count = 0;
  for (const std::uint64_t start : {std::uint64_t{0}, (std::uint64_t{1} << 32) - 8}) {
    for (const std::uint64_t filled : {0U, 1U, 5U, 10U}) {
      for (std::uint64_t word = 0; word < 34; ++word) {
        std::vector<std::uint64_t> values = interesting(start + 9 * 24 + filled * 24, 256);
        if (word >= 2) {
          for (const std::uint64_t kind : {0U, 1U, 2U, 3U, 0x8000'0001U, UINT32_MAX}) {
            for (const std::uint64_t size : {0U, 1U, 8U, 16U, 17U, 31U, 32U, 240U, 248U, 249U, 256U,
                                             0x7fff'ffffU, 0xffff'fff8U, UINT32_MAX}) {
              values.push_back(kind << 32 | size);
            }
          }
        }
        for (const std::uint64_t value : values) {
          RecordScene scene(filled, start);
          std::atomic<std::uint64_t>& target = word == 0 ? scene.memory.producer_page->tail
                                               : word == 1
                                                   ? scene.memory.producer_page->abort_before
                                                   : scene.memory.bytes.word((word - 2) * 8);
          target.store(value, std::memory_order_relaxed);
          exercise_consumer(scene.memory, scene.consumer);
          RecordConsumer late = scene.memory.consumer();
          exercise_consumer(scene.memory, late);
          static_cast<void>(scene.memory.try_producer().ok());
          ++attack_count;
        }
      }
    }
  }
  MESSAGE("attacks: ", attack_count);
  CHECK(attack_count == 2 * 4 * (2 * 23 + 32 * (23 + 6 * 14)));
}

TEST_CASE("hostile record: any value in any word of the consumer's page") {
  int attack_count = 0;
  for (const std::uint64_t start : {std::uint64_t{0}, (std::uint64_t{1} << 32) - 8}) {
    for (const std::uint64_t filled : {0U, 1U, 9U, 10U}) {
      for (int word = 0; word < 3; ++word) {
        for (const std::uint64_t value : interesting(start + 9 * 24, 256)) {
          RecordScene scene(filled, start);
          ConsumerPage& page = *scene.memory.consumer_page;
          (word == 0   ? page.credit
           : word == 1 ? page.done
                       : page.taken)
              .store(value, std::memory_order_relaxed);
          const auto fill = [&](RecordProducer& producer) {
            const std::uint64_t first = producer.position();
            for (int i = 0; i < 100; ++i) {
              std::span<std::byte> payload;
              static_cast<void>(producer.has_space(40));
              if (producer.try_reserve(40, payload) != Transfer::kDone) break;
              REQUIRE(scene.memory.bytes.contains(payload));
              write_pattern(payload, 1);
              producer.commit(40);
            }
            REQUIRE(producer.position() - first <= 512);
          };
          fill(scene.producer);
          if (Result<RecordProducer> late = scene.memory.try_producer(); late) fill(late.value());
          static_cast<void>(scene.memory.try_consumer().ok());
          ++attack_count;
        }
      }
    }
  }
  MESSAGE("attacks: ", attack_count);
  CHECK(attack_count == 2 * 4 * 3 * 23);
}

TEST_CASE("hostile record: the impossible is answered with kCorruptPeer, and a waiter is woken") {
  RecordScene scene(1, 0);
  std::atomic<std::uint64_t>& header = scene.memory.bytes.word(9 * 24);
  for (const std::uint64_t value :
       {std::uint64_t{0}, std::uint64_t{3} << 32 | 16, std::uint64_t{1} << 32 | 17,
        std::uint64_t{1} << 32 | UINT32_MAX, std::uint64_t{2} << 32 | 17}) {
    header.store(value, std::memory_order_relaxed);
    RecordConsumer consumer = scene.memory.consumer();
    RecordView view;
    CAPTURE(value);
    CHECK(consumer.has_message());
    CHECK(consumer.try_peek(view) == Transfer::kCorruptPeer);
    CHECK(consumer.position() == 9 * 24);
  }
  for (const std::uint64_t tail : {std::uint64_t{8}, std::uint64_t{9 * 24 - 8},
                                   std::uint64_t{9 * 24 + 1}, std::uint64_t{9 * 24 + 264}}) {
    scene.memory.producer_page->tail.store(tail, std::memory_order_relaxed);
    RecordConsumer consumer = scene.memory.consumer();
    RecordView view;
    CAPTURE(tail);
    CHECK(consumer.has_message());
    CHECK(consumer.try_peek(view) == Transfer::kCorruptPeer);
  }
}

// Scribbles one random foreign word now and then, between random operations of an honest end.
template <typename Memory, typename Step>
void scribble(std::uint64_t seed, Memory& memory,
              std::span<std::atomic<std::uint64_t>* const> words, std::uint64_t lap, Step step) {
  std::mt19937_64 random(seed);
  for (int i = 0; i < 20'000; ++i) {
    if (random() % 4 == 0) {
      std::atomic<std::uint64_t>& word = *words[random() % words.size()];
      const std::uint64_t before = word.load(std::memory_order_relaxed);
      const std::vector<std::uint64_t> values = interesting(before, lap);
      const std::uint64_t value = random() % 8 == 0 ? random() : values[random() % values.size()];
      word.store(value, std::memory_order_relaxed);
    }
    step(random, memory);
  }
}

TEST_CASE("hostile record: a peer that keeps scribbling never moves the consumer outside") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    RecordScene scene(4, 0);
    std::vector<std::atomic<std::uint64_t>*> words{&scene.memory.producer_page->tail,
                                                   &scene.memory.producer_page->tail,
                                                   &scene.memory.producer_page->abort_before};
    for (std::uint64_t i = 0; i < 32; ++i) words.push_back(&scene.memory.bytes.word(i * 8));
    std::deque<RecordView> held;
    const std::array<std::byte, 60> message{};
    scribble(seed, scene.memory, words, 256, [&](std::mt19937_64& random, RecordMemory& memory) {
      RecordView view;
      switch (random() % 4) {
        case 0:
        case 1:
          // A private producer keeps the ring moving, so that scribbles meet many states.
          if (memory.try_producer().ok()) {
            static_cast<void>(memory.producer().try_push(
                std::span<const std::byte>(message).first(random() % message.size())));
          }
          if (scene.consumer.try_peek(view) == Transfer::kDone) {
            REQUIRE(memory.bytes.contains(view.message));
            static_cast<void>(sum(view.message));
            held.push_back(view);
          }
          break;
        case 2:
          if (!held.empty()) {
            scene.consumer.release(held.front());
            held.pop_front();
          }
          break;
        default:
          if (held.empty()) static_cast<void>(scene.consumer.skip_aborted());
      }
      REQUIRE(scene.consumer.position() % 8 == 0);
      REQUIRE(scene.consumer.position() - scene.consumer.done() <= 256);
    });
  }
}

}  // namespace
}  // namespace slipring

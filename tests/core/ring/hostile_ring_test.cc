// A peer that writes anything it may write, at any time: no access outside the ring, no stop, no
// cursor of ours that a successor could not use.  The blocks have their exact sizes; run it with
// --config=asan.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <random>
#include <vector>

#include "core/ring/record_ring.h"
#include "core/ring/slot_ring.h"
#include "core/ring/spsc_ring.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring {
namespace {

// What an attacker would try first, around a value that is right now.
std::vector<std::uint64_t> interesting(std::uint64_t right, std::uint64_t lap) {
  return {0,
          1,
          7,
          8,
          right,
          right + 1,
          right - 1,
          right + 8,
          right - 8,
          right + lap,
          right - lap,
          right + lap + 1,
          right + lap + 8,
          right - lap - 1,
          right + 4,
          right ^ (std::uint64_t{1} << 63),
          std::uint64_t{1} << 32,
          UINT32_MAX,
          INT64_MAX,
          std::uint64_t{1} << 63,
          UINT64_MAX,
          UINT64_MAX - 7,
          UINT64_MAX - right};
}

// Reads every byte, so that the sanitizer sees a span that leaves its block.
std::uint64_t sum(std::span<const std::byte> bytes) {
  std::uint64_t total = 0;
  for (const std::byte byte : bytes) total += static_cast<std::uint64_t>(byte);
  return total;
}

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

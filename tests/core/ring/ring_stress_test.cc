// Two threads on one mapping; every message's order and every word is checked.  Run it with
// --config=tsan, which sees missing orders that an x86 does not show.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <string_view>
#include <thread>

#include "core/cpu/relax.h"
#include "core/ring/record_ring.h"
#include "core/ring/slot_ring.h"
#include "core/ring/spsc_ring.h"
#include "tests/core/ring/patience.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring {
namespace {

constexpr std::uint64_t kMessageCount = 50'000;

// What a side found.
struct Outcome {
  std::uint64_t message_count = 0;
  std::uint64_t wrong_count = 0;
  std::uint64_t blocked_count = 0;
  bool gave_up = false;
};

void fill_words(std::span<std::byte> message, std::uint64_t number) {
  for (std::size_t i = 0; i + 8 <= message.size(); i += 8) {
    const std::uint64_t word = number * 31 + i;
    std::memcpy(message.data() + i, &word, 8);
  }
}

bool words_are(std::span<const std::byte> message, std::uint64_t number) {
  for (std::size_t i = 0; i + 8 <= message.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, message.data() + i, 8);
    if (word != number * 31 + i) return false;
  }
  return true;
}

constexpr std::uint64_t record_size(std::uint64_t number, std::uint64_t max_bytes) {
  return number * 2654435761U % (max_bytes + 1) / 8 * 8;
}

// Runs both sides to the end or to the end of somebody's patience.
template <typename Produce, typename Consume>
void run_pair(std::string_view name, Produce produce, Consume consume) {
  Outcome sent;
  Outcome received;
  std::atomic<int> ready_count = 0;
  const auto meet = [&] {
    ready_count.fetch_add(1, std::memory_order_relaxed);  // relaxed: a starting line, no data
    while (ready_count.load(std::memory_order_relaxed) != 2) relax();  // relaxed: as above
  };
  std::thread producer([&] {
    meet();
    Patience patience;
    while (sent.message_count < kMessageCount && !sent.gave_up) {
      if (produce(sent)) {
        patience.moved();
      } else {
        ++sent.blocked_count;
        sent.gave_up = !patience.wait();
      }
    }
  });
  meet();
  Patience patience;
  while (received.message_count < kMessageCount && !received.gave_up) {
    if (consume(received)) {
      patience.moved();
    } else {
      ++received.blocked_count;
      received.gave_up = !patience.wait();
    }
  }
  producer.join();
  MESSAGE(name, ": ", received.message_count, " messages, full ", sent.blocked_count, ", empty ",
          received.blocked_count, ", wrong ", received.wrong_count);
  CHECK_FALSE(sent.gave_up);
  CHECK_FALSE(received.gave_up);
  CHECK(received.message_count == kMessageCount);
  CHECK(received.wrong_count == 0);
}

void stress_slots(const SlotGeometry& geometry) {
  SlotRingMemory memory(geometry);
  SlotProducer producer = memory.producer();
  SlotConsumer consumer = memory.consumer();
  run_pair(
      "slot",
      [&](Outcome& outcome) {
        std::span<std::byte> slot;
        if (producer.try_reserve(slot) != Transfer::kDone) return false;
        fill_words(slot, outcome.message_count++);
        producer.commit();
        return true;
      },
      [&](Outcome& outcome) {
        SlotView view;
        const Transfer answer = consumer.try_peek(view);
        if (answer == Transfer::kBlocked) return false;
        if (answer != Transfer::kDone || !words_are(view.message, outcome.message_count)) {
          ++outcome.wrong_count;
        }
        ++outcome.message_count;
        if (answer == Transfer::kDone) consumer.release(view);
        return true;
      });
}

void stress_record(std::uint64_t capacity, std::uint64_t start, std::uint64_t batch_count) {
  RecordMemory memory({capacity, start});
  RecordProducer producer = memory.producer();
  RecordConsumer consumer = memory.consumer();
  const std::uint64_t max_bytes = producer.max_payload_bytes();
  run_pair(
      "record",
      [&](Outcome& outcome) {
        std::span<std::byte> payload;
        const std::uint64_t size = record_size(outcome.message_count, max_bytes);
        if (producer.try_reserve(size, payload) != Transfer::kDone) {
          producer.publish();
          return false;
        }
        fill_words(payload, outcome.message_count++);
        producer.close(size);
        if (outcome.message_count % batch_count == 0 || outcome.message_count == kMessageCount) {
          producer.publish();
        }
        return true;
      },
      [&](Outcome& outcome) {
        RecordView view;
        const Transfer answer = consumer.try_peek(view);
        if (answer == Transfer::kBlocked) return false;
        if (answer != Transfer::kDone ||
            view.message.size() != record_size(outcome.message_count, max_bytes) ||
            !words_are(view.message, outcome.message_count)) {
          ++outcome.wrong_count;
        }
        ++outcome.message_count;
        if (answer == Transfer::kDone) consumer.release(view);
        return true;
      });
}

// `kStep` values at a time, in place every other time; 1 is one at a time.
template <typename T, std::size_t kStep>
void stress_spsc(const SpscGeometry& geometry) {
  SpscMemory<T> memory(geometry);
  SpscProducer<T> producer = memory.producer();
  SpscConsumer<T> consumer = memory.consumer();
  run_pair(
      "spsc",
      [&](Outcome& outcome) {
        std::array<T, kStep> values;
        const auto wanted = static_cast<std::size_t>(
            std::min<std::uint64_t>(kStep, kMessageCount - outcome.message_count));
        for (std::size_t i = 0; i < wanted; ++i) {
          fill_words(std::as_writable_bytes(std::span(&values[i], 1)), outcome.message_count + i);
        }
        std::size_t pushed = 1;
        if constexpr (kStep == 1) {
          if (producer.try_push(values[0]) != Transfer::kDone) return false;
        } else if (outcome.message_count % 2 == 0) {
          const std::span<const T> batch(values.data(), wanted);
          if (producer.try_push_batch(batch, pushed) != Transfer::kDone) return false;
        } else {
          std::span<T> slots;
          if (producer.try_reserve(slots) != Transfer::kDone) return false;
          pushed = std::min(wanted, slots.size());
          std::copy_n(values.begin(), pushed, slots.begin());
          producer.commit(pushed);
        }
        outcome.message_count += pushed;
        return true;
      },
      [&](Outcome& outcome) {
        std::array<T, kStep> values;
        std::span<const T> seen(values);
        std::size_t popped = 1;
        const bool in_place = kStep != 1 && outcome.message_count % 2 == 0;
        const Transfer answer = in_place     ? consumer.try_peek(seen)
                                : kStep == 1 ? consumer.try_pop(values[0])
                                             : consumer.try_pop_batch(values, popped);
        if (answer == Transfer::kBlocked) return false;
        if (in_place) popped = seen.size();
        if (answer != Transfer::kDone) {
          ++outcome.wrong_count;
          popped = 0;
        }
        for (std::size_t i = 0; i < popped; ++i) {
          const auto bytes = std::as_bytes(seen.subspan(i, 1));
          if (!words_are(bytes, outcome.message_count + i)) ++outcome.wrong_count;
        }
        if (in_place && answer == Transfer::kDone) consumer.release(popped);
        outcome.message_count += popped;
        return true;
      });
}

TEST_CASE("stress: values arrive whole and in order between two threads") {
  using Long = std::array<std::uint64_t, 9>;
  constexpr std::uint64_t kStart = (std::uint64_t{1} << 32) - 1000;
  for (const std::uint64_t count : {1U, 3U, 16U, 1000U, 1024U}) {
    CAPTURE(count);
    stress_spsc<std::uint64_t, 1>({count, kStart});
    stress_spsc<std::uint64_t, 32>({count, kStart});
    stress_spsc<Long, 1>({count, kStart});
    stress_spsc<Long, 5>({count, kStart});
  }
}

TEST_CASE("stress: slots arrive whole and in order between two threads") {
  for (const std::uint64_t count : {2U, 16U, 1024U}) {
    for (const std::uint32_t bytes : {8U, 56U, 504U}) {
      CAPTURE(count);
      CAPTURE(bytes);
      stress_slots({count, bytes, (std::uint64_t{1} << 32) - 1000});
    }
  }
}

TEST_CASE("stress: records arrive whole and in order between two threads") {
  for (const std::uint64_t capacity : {64U, 1024U, 65536U}) {
    for (const std::uint64_t batch_count : {1U, 7U}) {
      CAPTURE(capacity);
      CAPTURE(batch_count);
      stress_record(capacity, (std::uint64_t{1} << 32) - 4096, batch_count);
    }
  }
}

}  // namespace
}  // namespace slipring

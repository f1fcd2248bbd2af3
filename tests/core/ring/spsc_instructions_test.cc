// How many instructions the rings with one producer and one consumer take, and that none of them
// locks the bus or is a fence.

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <string>

#include "core/ring/byte_stream.h"
#include "core/ring/record_ring.h"
#include "core/ring/slot_ring.h"
#include "core/ring/spsc_ring.h"
#include "tests/core/ring/ring_memory.h"
#include "tests/crash/stepper/trace.h"

namespace slipring {
namespace {

using crash::Trace;
using crash::trace_of;

using Number = std::uint64_t;

constexpr int kLap = 256;

// A push, a pop that finds the ring one ahead of what it knew, and the loop: so many at most, so
// that it does not grow unseen.
constexpr double kMostPerPair = 36;

// Everything that comes out passes through here, so that the compiler cannot leave it out.
void use(std::uint64_t value) {
  asm volatile("" ::"r"(value) : "memory");
}

TEST_CASE("instructions: 8 bytes pushed and popped in turn on one thread, credit included") {
  SpscMemory<Number> memory({kLap, 0});
  SpscProducer<Number> producer = memory.producer();
  SpscConsumer<Number> consumer = memory.consumer();
  const auto pairs = [&](int count) {
    return trace_of([producer, consumer, count]() mutable {
      for (int i = 0; i < count; ++i) {
        Number value = static_cast<Number>(i);
        if (producer.try_push(value) != Transfer::kDone) return;
        if (consumer.try_pop(value) != Transfer::kDone) return;
        use(value);
      }
    });
  };
  // The difference of two runs leaves the loop and nothing around it; a whole lap has its four
  // credits, and the look for space, in it.
  const Trace one_lap = pairs(kLap);
  const Trace two_laps = pairs(2 * kLap);
  REQUIRE(one_lap.instruction_count != 0);
  REQUIRE(two_laps.instruction_count > one_lap.instruction_count);
  const double each =
      static_cast<double>(two_laps.instruction_count - one_lap.instruction_count) / kLap;
  MESSAGE("instructions a pair: ", each, "; locked ", two_laps.locked_count, ", fences ",
          two_laps.fence_count, " among ", two_laps.instruction_count);
  CHECK(each <= kMostPerPair);
  CHECK(each >= 6);  // four moves and two stores of positions at least: it was there at all
}

struct Path {
  const char* name;
  Trace trace;
};

void has_no_lock(const Path& path) {
  MESSAGE(std::string(path.name), ": ", path.trace.instruction_count, " instructions, locked ",
          path.trace.locked_count, ", fences ", path.trace.fence_count);
  CHECK(path.trace.instruction_count > 20);
  CHECK(path.trace.locked_count == 0);
  CHECK(path.trace.fence_count == 0);
}

TEST_CASE("instructions: no path of the typed ring is locked or fenced") {
  SpscMemory<Number> memory({8, 5});
  has_no_lock({"spsc, all", trace_of([&memory] {
                 auto producer = SpscProducer<Number>::attach(
                     *memory.producer_page, memory.first(), *memory.consumer_page, memory.geometry);
                 auto consumer = SpscConsumer<Number>::attach(
                     *memory.consumer_page, *memory.producer_page, memory.first(), memory.geometry);
                 std::array<Number, 20> values{};
                 std::size_t count = 0;
                 std::span<Number> room;
                 std::span<const Number> view;
                 use(producer->has_space() ? 1 : 0);
                 use(static_cast<std::uint64_t>(consumer->try_pop(values[0])));  // empty
                 for (int i = 0; i < 9; ++i) {                                   // and full
                   use(static_cast<std::uint64_t>(producer->try_push(values[0])));
                 }
                 use(consumer->has_value() ? 1 : 0);
                 use(static_cast<std::uint64_t>(consumer->try_pop(values[0])));
                 use(static_cast<std::uint64_t>(consumer->try_peek(view)));
                 consumer->release(view.size());
                 use(static_cast<std::uint64_t>(consumer->try_pop_batch(values, count)));
                 use(static_cast<std::uint64_t>(producer->try_push_batch(values, count)));
                 use(static_cast<std::uint64_t>(consumer->try_pop_batch(values, count)));
                 use(static_cast<std::uint64_t>(producer->try_reserve(room)));
                 producer->commit(room.size());
                 producer->abort_published();
                 use(consumer->skip_aborted());
                 consumer->publish_credit();
               })});
}

TEST_CASE("instructions: no path of slots, records and the stream is locked or fenced") {
  std::array<std::byte, 40> bytes{};
  SlotRingMemory slots({4, 40, 3});
  has_no_lock({"slots", trace_of([&] {
                 SlotProducer producer = slots.producer();
                 SlotConsumer consumer = slots.consumer();
                 use(static_cast<std::uint64_t>(consumer.try_pop(bytes)));
                 for (int i = 0; i < 6; ++i) {
                   use(static_cast<std::uint64_t>(producer.try_push(bytes)));
                 }
                 for (int i = 0; i < 3; ++i) {
                   use(static_cast<std::uint64_t>(consumer.try_pop(bytes)));
                 }
                 producer.abort_published();
                 use(consumer.skip_aborted());
               })});
  RecordMemory records({256, 8});
  has_no_lock({"records", trace_of([&] {
                 RecordProducer producer = records.producer();
                 RecordConsumer consumer = records.consumer();
                 std::uint64_t size = 0;
                 use(static_cast<std::uint64_t>(consumer.try_pop(bytes, size)));
                 for (int i = 0; i < 9; ++i) {
                   use(static_cast<std::uint64_t>(producer.try_push(bytes)));
                 }
                 for (int i = 0; i < 9; ++i) {
                   use(static_cast<std::uint64_t>(consumer.try_pop(bytes, size)));
                 }
                 use(static_cast<std::uint64_t>(producer.try_push(bytes)));
                 producer.abort_published();
                 use(consumer.skip_aborted());
               })});
  const StreamGeometry geometry{64, 9};
  has_no_lock({"stream", trace_of([&] {
                 auto producer = StreamProducer::attach(*slots.producer_page, records.bytes.data(),
                                                        *slots.consumer_page, geometry);
                 auto consumer = StreamConsumer::attach(*slots.consumer_page, *slots.producer_page,
                                                        records.bytes.data(), geometry);
                 std::size_t count = 0;
                 for (int i = 0; i < 3; ++i) {
                   use(static_cast<std::uint64_t>(producer->try_write(bytes, count)));
                   use(static_cast<std::uint64_t>(consumer->try_read(bytes, count)));
                 }
               })});
}

TEST_CASE("instructions: the stepper sees a locked instruction, an exchange and a fence") {
  std::atomic<std::uint64_t> word = 0;
  const Trace plain = trace_of([&] { word.store(1, std::memory_order_release); });
  CHECK(plain.instruction_count != 0);
  CHECK(plain.locked_count == 0);
  const Trace locked = trace_of([&] { use(word.fetch_add(1, std::memory_order_relaxed)); });
  CHECK(locked.locked_count == 1);
  const Trace exchanged = trace_of([&] { use(word.exchange(1, std::memory_order_relaxed)); });
  CHECK(exchanged.locked_count == 1);
  const Trace fenced = trace_of([&] { asm volatile("mfence" ::: "memory"); });
  CHECK(fenced.fence_count == 1);
  const Trace two = trace_of([] { asm volatile("nop\n nop" ::: "memory"); });
  const Trace none = trace_of([] { asm volatile("" ::: "memory"); });
  CHECK(two.instruction_count == none.instruction_count + 2);
}

}  // namespace
}  // namespace slipring

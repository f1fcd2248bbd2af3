// Bugs that other projects had, each tried on those of our rings where its class could occur;
// "stepped": in peer_bugs_stepped_test.cc.
//
//   where                                    what went wrong                     tried on
//   dpdk rte_ring (fix a4ad0eba9def),        a size from two loads               all with a credit
//     iree 23707, odp 636
//   jack2 886, liburing 1039                 an index visible before the bytes   all four, stepped
//   valkey 3878, FreeBSD D46152              a slot given back before it was     all four, stepped
//                                            read
//   iceoryx 2160                             the producer's role moves to        typed, slots
//                                            another thread
//   cloudtoid/interprocess 30                paused for exactly k laps           slots, broadcast
//   heapless 144 and 461, concurrent-queue   narrow counters wrap                typed, slots,
//     12, OSv 225, tokio 5042                                                    records, stream
//   heapless 583                             full without being full             typed, slots, MPMC
//   disruptor 463, Disruptor-cpp 10 and 18   a batch, or more producers, than    typed, records,
//                                            there are slots                     MPMC
//   agrona 159 and 160                       a death with a full ring            typed, slots,
//                                                                                records, MPMC
//   aeron 2015, agrona 22                    no room at the end and the begin    records
//   linux CVE-2024-41009                     a counter of the peer's drives      typed, records
//                                            the reservation
//   readerwriterqueue 172                    the size asked for under load       slots
//   concurrentqueue 437                      the first messages of a lane lost   MPSC
//   iceoryx 2366 (above 4 GiB) is in big_segment_test.cc; missing fences (iceoryx2 119, 125, 1356,
//   iceoryx 2006, ck 156) are for ring_stress_test.cc under TSan.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "core/ring/broadcast_ring.h"
#include "core/ring/byte_stream.h"
#include "core/ring/mpmc_ring.h"
#include "core/ring/mpsc_ring.h"
#include "core/ring/record_ring.h"
#include "core/ring/slot_ring.h"
#include "core/ring/spsc_ring.h"
#include "tests/core/ring/peer_bug_subjects.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring {
namespace {

TEST_CASE("dpdk rte_ring, iree 23707, odp 636: a stale word understates, and nothing underflows") {
  // Each older value that a weaker processor may still show, against a producer that is further.
  std::uint64_t case_count = 0;
  for (std::uint64_t popped = 0; popped <= 8; ++popped) {
    for (std::uint64_t stale = 0; stale <= popped; ++stale) {
      SpscMemory<Value> values({8, 0});
      SlotRingMemory slots({8, 40, 0});
      auto value_producer = values.producer();
      auto slot_producer = slots.producer();
      auto value_consumer = values.consumer();
      auto slot_consumer = slots.consumer();
      Value value{};
      for (int i = 0; i < 8; ++i) {
        REQUIRE(value_producer.try_push(value) == Transfer::kDone);
        REQUIRE(slot_producer.try_push(value.bytes) == Transfer::kDone);
      }
      for (std::uint64_t i = 0; i < popped; ++i) {
        REQUIRE(value_consumer.try_pop(value) == Transfer::kDone);
        REQUIRE(slot_consumer.try_pop(value.bytes) == Transfer::kDone);
      }
      for (ConsumerPage* page : {values.consumer_page, slots.consumer_page}) {
        page->credit.store(stale, std::memory_order_relaxed);
        page->done.store(stale, std::memory_order_relaxed);
      }
      std::uint64_t value_count = 0;
      std::uint64_t slot_count = 0;
      while (value_count < 20 && value_producer.try_push(value) == Transfer::kDone) ++value_count;
      while (slot_count < 20 && slot_producer.try_push(value.bytes) == Transfer::kDone)
        ++slot_count;
      CHECK(value_count == stale);
      CHECK(slot_count == stale);
      ++case_count;
    }
  }
  CHECK(case_count == 45);
}

// Producers on threads of their own, one after the other; the consumer's thread stays.
template <typename Memory, typename Push, typename Pop>
void role_moves(const char* name, Memory& memory, Push push, Pop pop) {
  constexpr std::uint64_t kThreads = 100;
  constexpr std::uint64_t kEach = 37;
  std::atomic<bool> is_late = false;
  std::thread consumer([&] {
    auto end = memory.consumer();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    for (std::uint64_t number = 0; number < kThreads * kEach;) {
      if (pop(end, number)) {
        ++number;
        continue;
      }
      std::this_thread::yield();
      if (std::chrono::steady_clock::now() > deadline) break;
    }
    is_late = std::chrono::steady_clock::now() > deadline;
  });
  for (std::uint64_t i = 0; i < kThreads; ++i) {
    std::thread([&, i] {
      auto end = memory.producer();
      for (std::uint64_t k = 0; k < kEach && !is_late;) {
        if (push(end, i * kEach + k)) {
          ++k;
        } else {
          std::this_thread::yield();
        }
      }
    }).join();
  }
  consumer.join();
  MESSAGE(std::string(name), ": ", kThreads, " producers, ", kThreads * kEach, " messages");
  CHECK_FALSE(is_late);
}

TEST_CASE(
    "iceoryx 2160: the producer's role passes from thread to thread, nothing lost or doubled") {
  SpscMemory<std::uint64_t> values({8, 0});
  std::uint64_t wrong_count = 0;
  role_moves(
      "typed", values,
      [](auto& end, std::uint64_t number) { return end.try_push(number) == Transfer::kDone; },
      [&](auto& end, std::uint64_t number) {
        std::uint64_t value = 0;
        if (end.try_pop(value) != Transfer::kDone) return false;
        wrong_count += value != number;
        return true;
      });
  SlotRingMemory slots({8, 40, 0});
  role_moves(
      "slots", slots,
      [](auto& end, std::uint64_t number) {
        Value value;
        write_pattern(value.bytes, number);
        return end.try_push(value.bytes) == Transfer::kDone;
      },
      [&](auto& end, std::uint64_t number) {
        Value value;
        if (end.try_pop(value.bytes) != Transfer::kDone) return false;
        wrong_count += has_pattern(value.bytes, number) ? 0U : 1U;
        return true;
      });
  CHECK(wrong_count == 0);
}

TEST_CASE("cloudtoid/interprocess 30: what is exactly k laps old is never taken for what is due") {
  for (std::uint64_t laps = 1; laps <= 70'000; laps = laps < 300 ? laps + 1 : laps * 3) {
    SlotRingMemory memory({4, 8, 4 * 100'000});
    SlotProducer producer = memory.producer();
    SlotConsumer consumer = memory.consumer();
    const std::array<std::byte, 8> message{};
    for (int i = 0; i < 6; ++i) {
      REQUIRE(producer.try_push(message) == Transfer::kDone);
      SlotView view;
      REQUIRE(consumer.try_peek(view) == Transfer::kDone);
      consumer.release(view);
    }
    const std::uint64_t due = consumer.position();
    memory.sequence(due).store(due + 1 - 4 * laps, std::memory_order_relaxed);
    SlotView view;
    CHECK(consumer.try_peek(view) == (laps == 1 ? Transfer::kBlocked : Transfer::kCorruptPeer));
    memory.sequence(due).store(due + 1 + 4 * laps, std::memory_order_relaxed);
    CHECK(consumer.try_peek(view) == Transfer::kCorruptPeer);
  }
}

TEST_CASE("cloudtoid/interprocess 30: a reader paused for exactly k laps counts them as lost") {
  const BroadcastGeometry geometry{
      4, 40, (std::uint64_t{1} << 32) - 8, 1, BroadcastPolicy::kOverwrite, 0};
  ExactBytes writer_page(sizeof(BroadcastWriterPage));
  ExactBytes reader_page(sizeof(BroadcastReaderPage));
  ExactBytes slots(broadcast_slots_bytes(geometry));
  auto& reader_words = *reinterpret_cast<BroadcastReaderPage*>(reader_page.data());
  auto& writer_words = *reinterpret_cast<BroadcastWriterPage*>(writer_page.data());
  const std::array<const BroadcastReaderPage*, 1> pages{&reader_words};
  auto writer = BroadcastWriter::attach(writer_words, slots.data(), pages, geometry);
  auto reader = BroadcastReader::attach(reader_words, writer_words, slots.data(), 0, geometry);
  REQUIRE(reader->join(BroadcastJoin::kOldest).ok());
  std::uint64_t pushed = 0;
  std::uint64_t accounted = 0;
  for (const std::uint64_t laps : {1U, 2U, 3U, 64U, 256U, 1024U}) {
    std::array<std::byte, 40> message;
    for (std::uint64_t i = 0; i < 4 * laps; ++i) {
      write_pattern(message, pushed++);
      REQUIRE(writer->try_push(message) == Transfer::kDone);
    }
    BroadcastView view;
    while (reader->try_pop(message, view) == Reception::kDone) {
      accounted += view.lost;
      CHECK(has_pattern(message, accounted++));
    }
    CHECK(accounted == pushed);
  }
}

TEST_CASE("heapless 144 and 461, concurrent-queue 12, OSv 225, tokio 5042: no counter is narrow") {
  std::uint64_t message_count = 0;
  for (const unsigned bits : {8U, 16U, 24U, 31U, 32U, 48U, 63U}) {
    const std::uint64_t start = (std::uint64_t{1} << bits) - 160;
    SpscMemory<Value> values({5, start});
    SlotRingMemory slots({4, 40, start});
    RecordMemory records({128, start});
    auto value_producer = values.producer();
    auto value_consumer = values.consumer();
    auto slot_producer = slots.producer();
    auto slot_consumer = slots.consumer();
    auto record_producer = records.producer();
    auto record_consumer = records.consumer();
    for (std::uint64_t number = 0; number < 400; ++number) {
      CAPTURE(bits);
      CAPTURE(number);
      Value in;
      Value out;
      std::uint64_t size = 0;
      write_pattern(in.bytes, number);
      REQUIRE(value_producer.try_push(in) == Transfer::kDone);
      REQUIRE(value_consumer.try_pop(out) == Transfer::kDone);
      REQUIRE(out.bytes == in.bytes);
      REQUIRE(slot_producer.try_push(in.bytes) == Transfer::kDone);
      REQUIRE(slot_consumer.try_pop(out.bytes) == Transfer::kDone);
      REQUIRE(out.bytes == in.bytes);
      REQUIRE(record_producer.try_push(in.bytes) == Transfer::kDone);
      REQUIRE(record_consumer.try_pop(out.bytes, size) == Transfer::kDone);
      REQUIRE(out.bytes == in.bytes);
      REQUIRE(record_consumer.try_pop(out.bytes, size) == Transfer::kBlocked);
      message_count += 3;
    }
  }
  CHECK(message_count == 7 * 3 * 400);
}

struct MpmcBlock {
  explicit MpmcBlock(std::uint64_t count)
      : geometry{count, 4, 32},
        slots(mpmc_slots_bytes(geometry)),
        records(mpmc_records_bytes(geometry)) {}
  [[nodiscard]] MpmcShared shared() const {
    return {reinterpret_cast<MpmcSlot*>(slots.data()),
            reinterpret_cast<MpmcRecord*>(records.data())};
  }
  [[nodiscard]] MpmcProducer producer(std::uint32_t who) const {
    return MpmcProducer::attach(shared(), who, geometry).value();
  }
  [[nodiscard]] MpmcConsumer consumer(std::uint32_t who) const {
    return MpmcConsumer::attach(shared(), who, geometry).value();
  }
  MpmcGeometry geometry;
  ExactBytes slots;
  ExactBytes records;
};

TEST_CASE("heapless 583: full is answered when it is full, and not before") {
  for (std::uint64_t popped = 0; popped <= 8; ++popped) {
    const MpmcBlock block(8);
    MpmcProducer producer = block.producer(1);
    MpmcConsumer consumer = block.consumer(2);
    SpscMemory<Value> values({8, 0});
    auto value_producer = values.producer();
    auto value_consumer = values.consumer();
    Value value{};
    for (std::uint32_t i = 0; i < 8; ++i) {
      REQUIRE(producer.try_push(i) == Transfer::kDone);
      REQUIRE(value_producer.try_push(value) == Transfer::kDone);
    }
    for (std::uint32_t i = 0; i < popped; ++i) {
      std::uint32_t payload = 99;
      REQUIRE(consumer.try_pop(payload) == Transfer::kDone);
      REQUIRE(payload == i);
      REQUIRE(value_consumer.try_pop(value) == Transfer::kDone);
    }
    value_consumer.publish_credit();
    for (std::uint64_t i = 0; i < popped; ++i) {
      CHECK(producer.try_push(0) == Transfer::kDone);
      CHECK(value_producer.try_push(value) == Transfer::kDone);
    }
    CHECK(producer.try_push(0) == Transfer::kBlocked);
    CHECK(value_producer.try_push(value) == Transfer::kBlocked);
  }
}

TEST_CASE("disruptor 463, Disruptor-cpp 10 and 18: more at once than there are slots comes back") {
  SpscMemory<Value> values({3, 0});
  auto value_producer = values.producer();
  const std::array<Value, 10> many{};
  std::size_t count = 0;
  CHECK(value_producer.try_push_batch(many, count) == Transfer::kDone);
  CHECK(count == 3);
  CHECK(value_producer.try_push_batch(many, count) == Transfer::kBlocked);

  RecordMemory records({128, 0});
  auto record_producer = records.producer();
  const std::vector<std::span<const std::byte>> messages(10, many[0].bytes);
  CHECK(record_producer.try_push_many(messages, count) == Transfer::kBlocked);
  CHECK(count == 2);

  // More producers than slots, all of them refused, none of them held up.
  const MpmcBlock block(1);
  std::array<MpmcProducer, 3> producers{block.producer(1), block.producer(2), block.producer(3)};
  const std::array<std::uint32_t, 5> payloads{1, 2, 3, 4, 5};
  CHECK(producers[0].try_push_batch(payloads) == 1);
  for (MpmcProducer& producer : producers) {
    CHECK(producer.try_push(9) == Transfer::kBlocked);
    CHECK(producer.try_push_batch(payloads) == 0);
  }
  MpmcConsumer consumer = block.consumer(4);
  std::uint32_t payload = 0;
  CHECK(consumer.try_pop(payload) == Transfer::kDone);
  CHECK(payload == 1);
}

TEST_CASE("agrona 159 and 160: who dies with a full ring leaves all of it to the successors") {
  for (const Subject& subject : {typed_subject(), slot_subject(), record_subject()}) {
    const SharedBlock block;
    block.clear();
    const std::uint64_t count = subject.push(*block.at, 0, 100);
    CAPTURE(count);
    CHECK(count >= kPerRing);
    CHECK(subject.push(*block.at, count, 100) == 0);  // each call attaches anew
    subject.pop(*block.at);
    CHECK(block.at->popped_count == count);
    CHECK(wrong_count(*block.at, 0) == 0);
    CHECK(subject.push(*block.at, count, 1) == 1);
    subject.pop(*block.at);
    CHECK(block.at->popped_count == 1);
    CHECK(wrong_count(*block.at, count) == 0);
  }
  const MpmcBlock block(4);
  for (std::uint32_t i = 0; i < 4; ++i) {
    MpmcProducer producer = block.producer(1);
    REQUIRE(producer.try_push(i) == Transfer::kDone);
  }
  CHECK(block.producer(1).try_push(9) == Transfer::kBlocked);
  MpmcConsumer consumer = block.consumer(2);
  for (std::uint32_t i = 0; i < 4; ++i) {
    std::uint32_t payload = 99;
    REQUIRE(consumer.try_pop(payload) == Transfer::kDone);
    CHECK(payload == i);
    consumer.finish();
  }
}

TEST_CASE("aeron 2015, agrona 22: room neither at the end nor at the begin is no room") {
  std::uint64_t case_count = 0;
  for (std::uint64_t offset = 0; offset < 128; offset += 8) {
    for (std::uint64_t size = 0; size <= 56; ++size) {
      RecordMemory memory({128, 0});
      RecordProducer producer = memory.producer();
      RecordConsumer consumer = memory.consumer();
      for (std::uint64_t at = 0; at < offset; at += 8) {
        std::uint64_t none = 0;
        REQUIRE(producer.try_push({}) == Transfer::kDone);
        REQUIRE(consumer.try_pop({}, none) == Transfer::kDone);
      }
      consumer.publish_credit();
      std::vector<std::byte> message(static_cast<std::size_t>(size));
      write_pattern(message, 0);
      REQUIRE(producer.try_push(message) == Transfer::kDone);
      RecordView held;
      REQUIRE(consumer.try_peek(held) == Transfer::kDone);
      // The first one is held: whatever else goes in must leave it alone.
      std::uint64_t count = 1;
      for (; count < 20; ++count) {
        write_pattern(message, count);
        if (producer.try_push(message) != Transfer::kDone) break;
      }
      REQUIRE(count * (8 + size) <= 128);
      REQUIRE(held.message.size() == size);
      REQUIRE(has_pattern(held.message, 0));
      consumer.release(held);
      for (std::uint64_t i = 1; i < count; ++i) {
        RecordView view;
        REQUIRE(consumer.try_peek(view) == Transfer::kDone);
        REQUIRE(view.message.size() == size);
        REQUIRE(has_pattern(view.message, i));
        consumer.release(view);
      }
      ++case_count;
    }
  }
  MESSAGE("pairs of size and offset: ", case_count);
  CHECK(case_count == 16 * 57);
}

TEST_CASE(
    "linux CVE-2024-41009: a consumer's words cannot move a reservation over what is unread") {
  for (const std::uint64_t lie : {std::uint64_t{1}, std::uint64_t{4}, std::uint64_t{8},
                                  std::uint64_t{9}, std::uint64_t{1} << 40, UINT64_MAX}) {
    CAPTURE(lie);
    SpscMemory<Value> values({8, 0});
    RecordMemory records({512, 0});
    auto value_producer = values.producer();
    auto record_producer = records.producer();
    Value value{};
    while (value_producer.try_push(value) == Transfer::kDone) {
    }
    while (record_producer.try_push(value.bytes) == Transfer::kDone) {
    }
    const std::uint64_t value_end = value_producer.position();
    const std::uint64_t record_end = record_producer.position();
    for (ConsumerPage* page : {values.consumer_page, records.consumer_page}) {
      page->done.store(lie, std::memory_order_relaxed);
      page->taken.store(lie, std::memory_order_relaxed);
      page->credit.store(lie, std::memory_order_relaxed);
    }
    // What the lie gives away is the liar's; more than a lap it cannot be.
    while (value_producer.try_push(value) == Transfer::kDone) {
    }
    while (record_producer.try_push(value.bytes) == Transfer::kDone) {
    }
    CHECK(value_producer.position() <= value_end + (lie <= 8 ? lie : 0));
    CHECK(record_producer.position() <= record_end + (lie <= record_end ? lie : 0));
  }
}

TEST_CASE(
    "readerwriterqueue 172: what is under way is never more than the ring, asked under load") {
  constexpr std::uint64_t kMessages = 20'000;
  SlotRingMemory memory({8, 8, (std::uint64_t{1} << 32) - 1000});
  SlotProducer producer = memory.producer();
  SlotConsumer consumer = memory.consumer();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  std::atomic<bool> is_late = false;
  std::thread reader([&] {
    std::array<std::byte, 8> message;
    for (std::uint64_t count = 0; count < kMessages && !is_late;) {
      if (consumer.try_pop(message) == Transfer::kDone) {
        ++count;
      } else {
        std::this_thread::yield();
      }
    }
  });
  const std::array<std::byte, 8> message{};
  std::uint64_t most = 0;
  std::uint64_t look_count = 0;
  for (std::uint64_t count = 0; count < kMessages && !is_late;) {
    if (producer.try_push(message) == Transfer::kDone) {
      ++count;
    } else {
      std::this_thread::yield();
      is_late = std::chrono::steady_clock::now() > deadline;
    }
    most = std::max(most, producer.position() - producer.done());
    ++look_count;
  }
  reader.join();
  MESSAGE("looks ", look_count, ", most under way ", most);
  CHECK_FALSE(is_late);
  CHECK(most <= 8);
}

TEST_CASE("concurrentqueue 437: what a lane held before it was known, and unrung, is not lost") {
  ExactBytes bells(sizeof(BellPage));
  SlotRingMemory memory({8, 40, 0});
  SlotProducer producer = memory.producer();
  for (std::uint64_t number = 0; number < 5; ++number) {
    Value value;
    write_pattern(value.bytes, number);
    REQUIRE(producer.try_push(value.bytes) == Transfer::kDone);  // and dies before it rings
  }
  SlotConsumer lane = memory.consumer();
  MpscConsumer<SlotConsumer> consumer(*reinterpret_cast<BellPage*>(bells.data()));
  consumer.join(40, lane);
  const auto drain = [&](std::uint64_t number, std::uint64_t end) {
    // As many tries as the consumer may need to look at lanes that have not rung.
    for (std::uint32_t tries = 0; number != end && tries < 2 * MpscPolicy{}.scan_interval;
         ++tries) {
      MpscConsumer<SlotConsumer>::Message message;
      if (consumer.try_peek(message) != Transfer::kDone) continue;
      CHECK(message.lane == 40);
      CHECK(has_pattern(message.view.message, number++));
      consumer.release(message);
    }
    CHECK(number == end);
  };
  drain(0, 5);
  Value value;
  write_pattern(value.bytes, 5);
  REQUIRE(producer.try_push(value.bytes) == Transfer::kDone);
  drain(5, 6);
}

}  // namespace
}  // namespace slipring

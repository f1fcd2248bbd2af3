// Threads on one mapping: the byte stream, and lanes with their bells.  Run it with --config=tsan,
// which sees missing orders that an x86 does not show.

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "core/ring/byte_stream.h"
#include "core/ring/mpsc_ring.h"
#include "core/ring/record_ring.h"
#include "tests/core/ring/byte_stream_memory.h"
#include "tests/core/ring/patience.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring {
namespace {

void stress_stream(std::uint64_t capacity, std::size_t write_bytes, std::size_t read_bytes) {
  CAPTURE(capacity);
  CAPTURE(write_bytes);
  CAPTURE(read_bytes);
  const std::uint64_t total = 150'000;
  StreamMemory memory({capacity, (std::uint64_t{1} << 32) - 1000});
  StreamProducer producer = memory.producer();
  StreamConsumer consumer = memory.consumer();
  const std::uint64_t end = producer.position() + total;
  std::atomic<bool> gave_up = false;
  std::thread writer([&] {
    Patience patience;
    while (producer.position() != end) {
      const std::uint64_t left = end - producer.position();
      if (write_some(producer, std::min<std::size_t>(write_bytes, left)) != 0) {
        patience.moved();
      } else if (!patience.wait()) {
        gave_up.store(true, std::memory_order_relaxed);
        return;
      }
    }
  });
  Patience patience;
  std::uint64_t wrong_count = 0;
  while (consumer.done() != end) {
    std::size_t count = 0;
    StreamView view;
    if (consumer.done() % 3 == 0 && consumer.try_peek(view) == Transfer::kDone) {
      count = std::min(read_bytes, view.bytes.size());
      if (!is_stream(view.bytes, view.position)) ++wrong_count;
      consumer.consume(count);
    } else if (!read_some(consumer, read_bytes, count)) {
      ++wrong_count;
    }
    if (count != 0) {
      patience.moved();
    } else if (!patience.wait()) {
      break;
    }
  }
  writer.join();
  MESSAGE("stream of ", capacity, ": ", total, " bytes, wrong ", wrong_count);
  CHECK_FALSE(gave_up.load(std::memory_order_relaxed));
  CHECK(consumer.done() == end);
  CHECK(wrong_count == 0);
}

TEST_CASE("stress: a stream arrives whole between two threads, whatever the cuts") {
  for (const std::uint64_t capacity : {16U, 1024U, 65536U}) {
    stress_stream(capacity, 7, 11);
    stress_stream(capacity, 5000, 300);
    stress_stream(capacity, 300, 5000);
  }
}

struct Lane {
  explicit Lane(std::uint64_t capacity) : memory({capacity, 0}) {}
  RecordMemory memory;
  RecordConsumer consumer = memory.consumer();
};

// Sends `message_count` records; rings for all but one in eight, which the scan has to find.
void send(Lane& lane, BellPage& bells, std::uint32_t number, std::uint64_t message_count) {
  RecordProducer producer = lane.memory.producer();
  LaneBell bell(bells, number);
  std::array<std::byte, 40> message;
  for (std::uint64_t i = 0; i < message_count;) {
    const std::size_t size = 8 + i % 33;
    write_pattern(std::span(message).first(size), i * kMaxLanes + number);
    if (producer.try_push(std::span<const std::byte>(message).first(size)) != Transfer::kDone) {
      std::this_thread::yield();
      continue;
    }
    ++i;
    if (i % 8 != 0) bell.ring();
  }
}

TEST_CASE("stress: lanes of four threads arrive whole, each in its order") {
  constexpr std::uint32_t kLanes = 4;
  constexpr std::uint64_t kMessages = 8'000;
  for (const std::uint64_t capacity : {128U, 4096U}) {
    CAPTURE(capacity);
    BellPage bells{};
    std::vector<std::unique_ptr<Lane>> lanes;
    MpscConsumer<RecordConsumer> mpsc(bells, {8, 32});
    for (std::uint32_t i = 0; i < kLanes; ++i) {
      lanes.push_back(std::make_unique<Lane>(capacity));
      mpsc.join(i * 9, lanes[i]->consumer);
    }
    std::vector<std::thread> senders;
    for (std::uint32_t i = 0; i < kLanes; ++i) {
      senders.emplace_back([&, i] { send(*lanes[i], bells, i * 9, kMessages); });
    }
    std::array<std::uint64_t, kMaxLanes> next{};
    std::uint64_t wrong_count = 0;
    std::uint64_t received_count = 0;
    Patience patience;
    while (received_count != kLanes * kMessages) {
      MpscConsumer<RecordConsumer>::Message message;
      if (mpsc.try_peek(message) != Transfer::kDone) {
        if (!patience.wait()) break;
        continue;
      }
      patience.moved();
      const std::uint64_t number = next[message.lane]++;
      if (message.view.message.size() != 8 + number % 33 ||
          !has_pattern(message.view.message, number * kMaxLanes + message.lane)) {
        ++wrong_count;
      }
      mpsc.release(message);
      ++received_count;
    }
    // Senders end by themselves only if everything could be read.
    REQUIRE(received_count == kLanes * kMessages);
    for (std::thread& sender : senders) sender.join();
    MESSAGE("lanes of ", capacity, " bytes: ", received_count, " records, wrong ", wrong_count);
    CHECK(wrong_count == 0);
  }
}

}  // namespace
}  // namespace slipring

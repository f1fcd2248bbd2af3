#include "core/ring/byte_stream.h"

#include <doctest/doctest.h>

#include <array>
#include <vector>

#include "tests/core/error/dies.h"
#include "tests/core/ring/byte_stream_memory.h"

namespace slipring {
namespace {

constexpr std::uint64_t kNear63 = (std::uint64_t{1} << 63) - 3;
constexpr std::array<std::uint64_t, 4> kStarts{0, 5, (std::uint64_t{1} << 32) - 3, kNear63};

TEST_CASE("byte_stream: a geometry out of range is refused with the offending value") {
  CHECK(stream_validate({1, 0}).ok());
  CHECK(stream_validate({kMaxStreamBytes, kNear63}).ok());
  for (const std::uint64_t capacity :
       {std::uint64_t{0}, std::uint64_t{3}, std::uint64_t{96}, kMaxStreamBytes * 2}) {
    const Status refused = stream_validate({capacity, 0});
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().found == capacity);
  }
  CHECK_FALSE(stream_validate({64, kNear63 + 3}).ok());
}

TEST_CASE("byte_stream: every count at every offset comes out whole, copied or in place") {
  int pair_count = 0;
  for (const std::uint64_t capacity : {1U, 2U, 16U, 64U}) {
    for (const std::uint64_t start : kStarts) {
      for (std::uint64_t offset = 0; offset < capacity; ++offset) {
        for (std::uint64_t count = 1; count <= capacity; ++count) {
          CAPTURE(start);
          CAPTURE(offset);
          CAPTURE(count);
          StreamMemory memory({capacity, start + offset > kNear63 ? start : start + offset});
          StreamProducer producer = memory.producer();
          StreamConsumer consumer = memory.consumer();
          REQUIRE_FALSE(consumer.has_bytes());
          REQUIRE(producer.has_space(capacity));
          REQUIRE(write_some(producer, count) == count);
          REQUIRE(producer.has_space(capacity - count));
          REQUIRE(producer.has_space(capacity - count + 1) == false);
          StreamView view;
          REQUIRE(consumer.has_bytes(count));
          REQUIRE_FALSE(consumer.has_bytes(count + 1));
          REQUIRE(consumer.try_peek(view) == Transfer::kDone);
          REQUIRE(memory.contains(view.bytes));
          REQUIRE(view.bytes.size() == count);
          REQUIRE(is_stream(view.bytes, view.position));
          consumer.consume(count);
          consumer.publish_credit();
          StreamParts<std::byte> room;
          REQUIRE(producer.try_reserve(room, capacity) == Transfer::kDone);
          REQUIRE(memory.contains(room));
          REQUIRE(room.size() == capacity);
          write_stream(room.first, producer.position());
          write_stream(room.second, producer.position() + room.first.size());
          producer.commit(count);
          std::size_t read = 0;
          REQUIRE(read_some(consumer, 2 * capacity, read));
          REQUIRE(read == count);
          REQUIRE(consumer.done() == producer.position());
          ++pair_count;
        }
      }
    }
  }
  MESSAGE("(count, offset) pairs: ", pair_count);
  CHECK(pair_count == 4 * (1 + 4 + 256 + 4096));
}

TEST_CASE("byte_stream: holds exactly its capacity; what does not fit is written in part") {
  for (const std::uint64_t start : kStarts) {
    StreamMemory memory({16, start});
    StreamProducer producer = memory.producer();
    StreamConsumer consumer = memory.consumer();
    CHECK(write_some(producer, 10) == 10);
    CHECK(write_some(producer, 10) == 6);
    CHECK(write_some(producer, 1) == 0);
    CHECK_FALSE(producer.has_space());
    StreamParts<std::byte> room;
    CHECK(producer.try_reserve(room) == Transfer::kBlocked);
    std::size_t read = 0;
    CHECK(read_some(consumer, 7, read));
    CHECK(read == 7);
    CHECK(write_some(producer, 100) == 7);
    CHECK(read_some(consumer, 100, read));
    CHECK(read == 16);
    CHECK(read_some(consumer, 100, read));
    CHECK(read == 0);
  }
}

TEST_CASE("byte_stream: nothing to write and nothing to read is done at once") {
  StreamMemory memory({16, 0});
  StreamProducer producer = memory.producer();
  StreamConsumer consumer = memory.consumer();
  std::size_t count = 9;
  CHECK(consumer.try_read({}, count) == Transfer::kDone);
  CHECK(count == 0);
  CHECK(write_some(producer, 16) == 16);
  CHECK(producer.try_write({}, count) == Transfer::kDone);
  CHECK(count == 0);
}

TEST_CASE("byte_stream: peeking again shows the same bytes and those that came") {
  StreamMemory memory({64, 0});
  StreamProducer producer = memory.producer();
  StreamConsumer consumer = memory.consumer();
  StreamView view;
  CHECK(write_some(producer, 5) == 5);
  REQUIRE(consumer.try_peek(view) == Transfer::kDone);
  CHECK(view.bytes.size() == 5);
  CHECK(write_some(producer, 5) == 5);
  REQUIRE(consumer.try_peek(view) == Transfer::kDone);
  CHECK(view.bytes.size() == 5);  // enough is known: the producer's page is left alone
  REQUIRE(consumer.try_peek(view, 6) == Transfer::kDone);
  CHECK(view.bytes.size() == 10);
  CHECK(is_stream(view.bytes, 0));
  REQUIRE(consumer.try_peek(view, 60) == Transfer::kDone);
  CHECK(view.bytes.size() == 10);
  CHECK(dies([&] { consumer.consume(11); }));
  consumer.consume(3);
  REQUIRE(consumer.try_peek(view) == Transfer::kDone);
  CHECK(view.bytes.size() == 7);
  CHECK(is_stream(view.bytes, 3));
}

TEST_CASE("byte_stream: no more is published than was reserved") {
  StreamMemory memory({16, 0});
  StreamProducer producer = memory.producer();
  CHECK(dies([&] { producer.commit(1); }));
  StreamParts<std::byte> room;
  REQUIRE(producer.try_reserve(room) == Transfer::kDone);
  CHECK(dies([&] { producer.commit(17); }));
  producer.commit(4);
  CHECK(producer.position() == 4);
  CHECK(dies([&] { producer.commit(1); }));
  producer.commit(0);
  CHECK(producer.position() == 4);
}

TEST_CASE("byte_stream: an unfinished frame as large as the ring does not block both ends") {
  // The writer is full and the reader waits for more than there is: the credit that the reader
  // keeps back must come, or nobody ever moves.
  StreamMemory memory({16, 0});
  StreamProducer producer = memory.producer();
  StreamConsumer consumer = memory.consumer();
  CHECK(write_some(producer, 16) == 16);
  std::size_t read = 0;
  CHECK(read_some(consumer, 3, read));
  CHECK(producer.has_space(3));  // the exact cursor says so
  CHECK_FALSE(producer.has_space(4));
  StreamView view;
  CHECK(consumer.try_peek(view, 16) == Transfer::kDone);
  CHECK(view.bytes.size() == 13);
  CHECK(producer.has_space(3));
  CHECK(write_some(producer, 16) == 3);
  CHECK(consumer.try_peek(view, 16) == Transfer::kDone);
  CHECK(view.bytes.size() == 16);
}

TEST_CASE("byte_stream: a dead reader's bytes come again, marked, from its exact cursor") {
  int death_count = 0;
  for (const std::uint64_t start : kStarts) {
    for (std::size_t taken = 0; taken <= 16; ++taken) {
      for (std::size_t done = 0; done <= taken; ++done) {
        CAPTURE(start);
        CAPTURE(taken);
        CAPTURE(done);
        StreamMemory memory({16, start});
        StreamProducer producer = memory.producer();
        {
          StreamConsumer consumer = memory.consumer();
          StreamView view;
          REQUIRE(write_some(producer, taken) == taken);
          REQUIRE(consumer.try_peek(view) == (taken ? Transfer::kDone : Transfer::kBlocked));
          consumer.consume(done);
          REQUIRE(write_some(producer, 16 - taken) == 16 - taken);
        }
        StreamConsumer successor = memory.consumer();
        StreamView view;
        REQUIRE(successor.try_peek(view) == (done < 16 ? Transfer::kDone : Transfer::kBlocked));
        if (done < 16) {
          REQUIRE(view.bytes.size() == 16 - done);
          REQUIRE(view.redelivered_bytes == taken - done);
          REQUIRE(is_stream(view.bytes, start + done));
        }
        REQUIRE(memory.producer().position() == start + 16);
        ++death_count;
      }
    }
  }
  MESSAGE("deaths: ", death_count);
  CHECK(death_count == 4 * 153);
}

TEST_CASE("byte_stream: a copying reader marks no more as taken than it copied") {
  StreamMemory memory({64, 0});
  StreamProducer producer = memory.producer();
  StreamConsumer consumer = memory.consumer();
  CHECK(write_some(producer, 40) == 40);
  std::size_t read = 0;
  CHECK(read_some(consumer, 10, read));
  CHECK(memory.consumer_page->taken.load(std::memory_order_relaxed) == 10);
  CHECK(memory.consumer_page->done.load(std::memory_order_relaxed) == 10);
}

TEST_CASE("byte_stream: what a dead writer had not committed never existed") {
  StreamMemory memory({16, 0});
  StreamConsumer consumer = memory.consumer();
  {
    StreamProducer producer = memory.producer();
    REQUIRE(write_some(producer, 5) == 5);
    StreamParts<std::byte> room;
    REQUIRE(producer.try_reserve(room) == Transfer::kDone);
    for (std::byte& byte : room.first) byte = std::byte{0xee};
  }
  StreamProducer successor = memory.producer();
  CHECK(successor.position() == 5);
  CHECK(write_some(successor, 16) == 11);
  std::size_t read = 0;
  CHECK(read_some(consumer, 16, read));
  CHECK(read == 16);
}

TEST_CASE("byte_stream: abort marks what was published before it, looked at or not") {
  for (const std::uint64_t start : kStarts) {
    for (std::size_t before = 0; before <= 8; ++before) {
      CAPTURE(start);
      CAPTURE(before);
      StreamMemory memory({16, start});
      StreamProducer producer = memory.producer();
      StreamConsumer consumer = memory.consumer();
      REQUIRE(write_some(producer, before) == before);
      producer.abort_published();
      REQUIRE(write_some(producer, 8) == 8);
      CHECK(consumer.has_abort() == (before != 0));
      StreamView view;
      REQUIRE(consumer.try_peek(view) == Transfer::kDone);
      CHECK(view.aborted_bytes == before);
      CHECK(consumer.skip_aborted() == before);
      CHECK(consumer.skip_aborted() == 0);
      CHECK(consumer.done() == start + before);
      // Taken stays where it was: the bytes behind the fence had been looked at.
      CHECK(memory.consumer_page->taken.load(std::memory_order_relaxed) == start + before + 8);
      REQUIRE(consumer.try_peek(view) == Transfer::kDone);
      CHECK(view.bytes.size() == 8);
      CHECK(view.aborted_bytes == 0);
      CHECK(is_stream(view.bytes, start + before));
    }
  }
}

TEST_CASE("byte_stream: the impossible is answered with kCorruptPeer, and a waiter is woken") {
  StreamMemory memory({16, 0});
  StreamProducer producer = memory.producer();
  StreamConsumer consumer = memory.consumer();
  CHECK(write_some(producer, 12) == 12);
  std::size_t read = 0;
  CHECK(read_some(consumer, 12, read));
  StreamView view;
  for (const std::uint64_t tail : {std::uint64_t{11}, std::uint64_t{29}, UINT64_MAX,
                                   std::uint64_t{1} << 63, std::uint64_t{0}}) {
    memory.producer_page->tail.store(tail, std::memory_order_relaxed);
    CAPTURE(tail);
    CHECK(consumer.has_bytes());
    CHECK(consumer.try_peek(view) == Transfer::kCorruptPeer);
    memory.producer_page->abort_before.store(tail, std::memory_order_relaxed);
    CHECK(consumer.skip_aborted() == 0);
  }
  memory.producer_page->tail.store(28, std::memory_order_relaxed);  // a whole lap: possible
  CHECK(consumer.try_peek(view) == Transfer::kDone);
  CHECK(view.bytes.size() == 16);
  CHECK(memory.contains(view.bytes));

  CHECK(write_some(producer, 4) == 4);
  memory.consumer_page->credit.store(17, std::memory_order_relaxed);
  StreamParts<std::byte> room;
  CHECK(producer.has_space(16));
  CHECK(producer.try_reserve(room, 16) == Transfer::kCorruptPeer);
  memory.consumer_page->done.store(17, std::memory_order_relaxed);
  memory.producer_page->tail.store(16, std::memory_order_relaxed);
  CHECK_FALSE(memory.try_producer().ok());
  memory.consumer_page->taken.store(34, std::memory_order_relaxed);
  CHECK_FALSE(memory.try_consumer().ok());
}

}  // namespace
}  // namespace slipring

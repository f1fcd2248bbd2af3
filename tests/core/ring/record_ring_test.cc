#include "core/ring/record_ring.h"

#include <doctest/doctest.h>

#include <array>
#include <vector>

#include "tests/core/error/dies.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring {
namespace {

constexpr std::uint64_t kNear32 = (std::uint64_t{1} << 32) - 8;
constexpr std::uint64_t kNear63 = (std::uint64_t{1} << 63) - 8;
constexpr std::array<std::uint64_t, 4> kStarts{0, 24, kNear32, kNear63};

Transfer push(RecordProducer& producer, std::uint64_t size_bytes, std::uint64_t number) {
  std::span<std::byte> payload;
  const Transfer answer = producer.try_reserve(size_bytes, payload);
  if (answer == Transfer::kDone) {
    write_pattern(payload, number);
    producer.commit(size_bytes);
  }
  return answer;
}

bool pop(RecordConsumer& consumer, std::uint64_t size_bytes, std::uint64_t number) {
  RecordView view;
  if (consumer.try_peek(view) != Transfer::kDone) return false;
  const bool right = view.message.size() == size_bytes && has_pattern(view.message, number);
  consumer.release(view);
  return right;
}

// Moves both ends to `offset` within a lap, by records that leave nothing behind.
void advance(RecordProducer& producer, RecordConsumer& consumer, std::uint64_t offset_bytes) {
  for (std::uint64_t i = 0; i < offset_bytes; i += 8) {
    REQUIRE(push(producer, 0, 0) == Transfer::kDone);
    REQUIRE(pop(consumer, 0, 0));
  }
  RecordView none;
  REQUIRE(consumer.try_peek(none) == Transfer::kBlocked);
}

TEST_CASE("record_ring: a geometry out of range is refused with the offending value") {
  CHECK(record_validate({64, 0}).ok());
  CHECK(record_validate({kMaxRecordRingBytes, kNear63}).ok());
  for (const std::uint64_t capacity :
       {std::uint64_t{0}, std::uint64_t{32}, std::uint64_t{96}, kMaxRecordRingBytes * 2}) {
    const Status refused = record_validate({capacity, 0});
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().found == capacity);
  }
  CHECK_FALSE(record_validate({64, 4}).ok());
  CHECK_FALSE(record_validate({64, kNear63 + 8}).ok());
}

TEST_CASE("record_ring: the longest record takes half of the ring, and fits 32 bits") {
  CHECK(record_max_payload_bytes(64) == 24);
  CHECK(record_max_payload_bytes(4096) == 2040);
  CHECK(record_detail::whole_bytes(record_max_payload_bytes(4096)) == 2048);
  CHECK(record_max_payload_bytes(kMaxRecordRingBytes) == 0xffff'fff0U);
}

TEST_CASE("record_ring: every size at every offset comes out whole and stays in its bytes") {
  int pair_count = 0;
  for (const std::uint64_t capacity : {64U, 128U, 512U}) {
    for (const std::uint64_t start : kStarts) {
      for (std::uint64_t offset = 0; offset < capacity; offset += 8) {
        for (std::uint64_t size = 0; size <= record_max_payload_bytes(capacity); ++size) {
          RecordMemory memory({capacity, start});
          RecordProducer producer = memory.producer();
          RecordConsumer consumer = memory.consumer();
          advance(producer, consumer, offset);
          CAPTURE(offset);
          CAPTURE(size);
          std::span<std::byte> payload;
          REQUIRE(producer.has_space(size));
          REQUIRE(producer.try_reserve(size, payload) == Transfer::kDone);
          REQUIRE(payload.size() == size);
          REQUIRE(memory.bytes.contains(payload));
          write_pattern(payload, size);
          producer.commit(size);
          REQUIRE(push(producer, 0, 0) == Transfer::kDone);
          REQUIRE(pop(consumer, size, size));
          REQUIRE(pop(consumer, 0, 0));
          REQUIRE(consumer.position() == producer.position());
          REQUIRE(consumer.done() == producer.position());
          ++pair_count;
        }
      }
    }
  }
  MESSAGE("(size, offset) pairs: ", pair_count);
  CHECK(pair_count == 4 * (8 * 25 + 16 * 57 + 64 * 249));
}

TEST_CASE("record_ring: holds exactly its capacity, whatever the offset") {
  for (const std::uint64_t start : kStarts) {
    for (std::uint64_t offset = 0; offset < 128; offset += 8) {
      CAPTURE(start);
      CAPTURE(offset);
      RecordMemory memory({128, start});
      RecordProducer producer = memory.producer();
      RecordConsumer consumer = memory.consumer();
      advance(producer, consumer, offset);
      for (std::uint64_t i = 0; i < 8; ++i) {
        // 16 bytes each; at an odd eighth the last before the wrap is 8 bytes of padding.
        const bool is_odd = (start + offset) % 16 != 0;
        if (is_odd && i == 7) break;
        REQUIRE(producer.has_space(8));
        REQUIRE(push(producer, 8, i) == Transfer::kDone);
      }
      CHECK_FALSE(producer.has_space(8));
      CHECK(push(producer, 8, 99) == Transfer::kBlocked);
      for (std::uint64_t i = 0; consumer.has_message(); ++i) REQUIRE(pop(consumer, 8, i));
      CHECK(consumer.done() == producer.position());
    }
  }
}

TEST_CASE("record_ring: the longest record always fits once the ring is read empty") {
  for (std::uint64_t offset = 0; offset < 128; offset += 8) {
    RecordMemory memory({128, 0});
    RecordProducer producer = memory.producer();
    RecordConsumer consumer = memory.consumer();
    advance(producer, consumer, offset);
    for (int i = 0; i < 9; ++i) {
      CAPTURE(offset);
      REQUIRE(push(producer, producer.max_payload_bytes(), 7) == Transfer::kDone);
      REQUIRE(pop(consumer, producer.max_payload_bytes(), 7));
      RecordView none;
      REQUIRE(consumer.try_peek(none) == Transfer::kBlocked);
    }
  }
}

TEST_CASE("record_ring: many records become visible by one publish") {
  RecordMemory memory({256, 0});
  RecordProducer producer = memory.producer();
  RecordConsumer consumer = memory.consumer();
  for (std::uint64_t i = 0; i < 5; ++i) {
    std::span<std::byte> payload;
    REQUIRE(producer.try_reserve(i * 3, payload) == Transfer::kDone);
    write_pattern(payload, i);
    producer.close(i * 3);
    CHECK_FALSE(consumer.has_message());
  }
  RecordView none;
  CHECK(consumer.try_peek(none) == Transfer::kBlocked);
  producer.publish();
  for (std::uint64_t i = 0; i < 5; ++i) CHECK(pop(consumer, i * 3, i));
  CHECK(consumer.try_peek(none) == Transfer::kBlocked);
}

TEST_CASE("record_ring: a record may be closed shorter than it was reserved") {
  RecordMemory memory({256, 0});
  RecordProducer producer = memory.producer();
  RecordConsumer consumer = memory.consumer();
  std::span<std::byte> payload;
  REQUIRE(producer.try_reserve(100, payload) == Transfer::kDone);
  write_pattern(payload.first(5), 5);
  producer.commit(5);
  CHECK(producer.position() == 16);
  CHECK(pop(consumer, 5, 5));
  CHECK(dies([&] {
    static_cast<void>(producer.try_reserve(10, payload));
    producer.close(11);
  }));
  CHECK(dies([&] { producer.close(0); }));
  CHECK(dies([&] { producer.abandon(); }));
  CHECK(dies([&] { static_cast<void>(producer.try_reserve(121, payload)); }));
}

TEST_CASE("record_ring: an abandoned record leaves nothing, not even padding") {
  for (std::uint64_t offset = 0; offset < 128; offset += 8) {
    CAPTURE(offset);
    RecordMemory memory({128, 0});
    RecordProducer producer = memory.producer();
    RecordConsumer consumer = memory.consumer();
    advance(producer, consumer, offset);
    const std::uint64_t position = producer.position();
    std::span<std::byte> payload;
    REQUIRE(producer.try_reserve(56, payload) == Transfer::kDone);
    write_pattern(payload, 1);
    CHECK(producer.is_open());
    producer.abandon();
    CHECK_FALSE(producer.is_open());
    producer.publish();
    CHECK(producer.position() == position);
    CHECK_FALSE(consumer.has_message());
    REQUIRE(push(producer, 0, 2) == Transfer::kDone);
    CHECK(producer.position() == position + 8);
    CHECK(pop(consumer, 0, 2));
  }
}

TEST_CASE("record_ring: several records are held at once and finished by one release") {
  RecordMemory memory({128, 0});
  RecordProducer producer = memory.producer();
  RecordConsumer consumer = memory.consumer();
  std::array<RecordView, 8> views;
  for (std::uint64_t i = 0; i < 8; ++i) REQUIRE(push(producer, 8, i) == Transfer::kDone);
  for (RecordView& view : views) REQUIRE(consumer.try_peek(view) == Transfer::kDone);
  for (std::uint64_t i = 0; i < 8; ++i) {
    CHECK(has_pattern(views[i].message, i));
    CHECK(views[i].position == i * 16);
    CHECK(views[i].end_position == i * 16 + 16);
  }
  RecordView none;
  CHECK(consumer.try_peek(none) == Transfer::kBlocked);
  consumer.release(views[4]);
  CHECK(consumer.done() == 80);
  CHECK(dies([&] { consumer.release(views[4]); }));
  CHECK(dies([&] { consumer.release({{}, 128, 136, false, false}); }));
  for (std::uint64_t i = 8; i < 13; ++i) REQUIRE(push(producer, 8, i) == Transfer::kDone);
  CHECK(push(producer, 8, 13) == Transfer::kBlocked);
  for (std::uint64_t i = 5; i < 8; ++i) CHECK(has_pattern(views[i].message, i));
}

TEST_CASE("record_ring: credit is given a quarter lap at a time, and whole when idle") {
  RecordMemory memory({256, 0});
  RecordProducer producer = memory.producer();
  RecordConsumer consumer = memory.consumer();
  const auto credit = [&] { return memory.consumer_page->credit.load(std::memory_order_relaxed); };
  for (std::uint64_t i = 0; i < 16; ++i) REQUIRE(push(producer, 8, i) == Transfer::kDone);
  for (std::uint64_t i = 0; i < 16; ++i) {
    REQUIRE(pop(consumer, 8, i));
    REQUIRE(credit() == (i + 1) * 16 / 64 * 64);
    REQUIRE(credit() == consumer.credit_given());
  }
  REQUIRE(push(producer, 8, 16) == Transfer::kDone);
  REQUIRE(pop(consumer, 8, 16));
  CHECK(credit() == 256);
  RecordView none;
  CHECK(consumer.try_peek(none) == Transfer::kBlocked);
  CHECK(credit() == 272);
}

TEST_CASE("record_ring: what a dead producer had not published never existed") {
  for (const std::uint64_t start : kStarts) {
    for (std::uint64_t offset = 0; offset < 128; offset += 8) {
      for (int death = 0; death < 4; ++death) {
        CAPTURE(start);
        CAPTURE(offset);
        CAPTURE(death);
        RecordMemory memory({128, start});
        RecordConsumer consumer = memory.consumer();
        {
          RecordProducer producer = memory.producer();
          advance(producer, consumer, offset);
          REQUIRE(push(producer, 3, 1) == Transfer::kDone);
          std::span<std::byte> payload;
          REQUIRE(producer.try_reserve(30, payload) == Transfer::kDone);
          if (death >= 1) write_pattern(payload, 666);
          if (death >= 2) producer.close(30);
          if (death >= 3 && producer.has_space(20)) {
            REQUIRE(producer.try_reserve(20, payload) == Transfer::kDone);
          }
        }
        RecordProducer successor = memory.producer();
        REQUIRE(push(successor, 17, 2) == Transfer::kDone);
        CHECK(pop(consumer, 3, 1));
        CHECK(pop(consumer, 17, 2));
        CHECK_FALSE(consumer.has_message());
      }
    }
  }
}

TEST_CASE("record_ring: a dead consumer's taken and unfinished records come again, marked") {
  for (const std::uint64_t start : kStarts) {
    for (std::uint64_t offset = 0; offset < 256; offset += 8) {
      for (std::uint64_t taken = 0; taken <= 4; ++taken) {
        for (std::uint64_t done = 0; done <= taken; ++done) {
          CAPTURE(start);
          CAPTURE(offset);
          CAPTURE(taken);
          CAPTURE(done);
          RecordMemory memory({256, start});
          RecordProducer producer = memory.producer();
          {
            RecordConsumer consumer = memory.consumer();
            advance(producer, consumer, offset);
            for (std::uint64_t i = 0; i < 4; ++i) {
              REQUIRE(push(producer, i * 9, i) == Transfer::kDone);
            }
            std::array<RecordView, 4> views;
            for (std::uint64_t i = 0; i < taken; ++i) {
              REQUIRE(consumer.try_peek(views[i]) == Transfer::kDone);
            }
            if (done != 0) consumer.release(views[done - 1]);
          }
          RecordConsumer successor = memory.consumer();
          for (std::uint64_t i = done; i < 4; ++i) {
            RecordView view;
            REQUIRE(successor.try_peek(view) == Transfer::kDone);
            REQUIRE(view.redelivered == (i < taken));
            REQUIRE(view.message.size() == i * 9);
            REQUIRE(has_pattern(view.message, i));
            successor.release(view);
          }
          REQUIRE(successor.done() == producer.position());
        }
      }
    }
  }
}

TEST_CASE("record_ring: abort marks what was published before it, and nothing after") {
  for (const std::uint64_t start : kStarts) {
    for (std::uint64_t offset = 0; offset < 256; offset += 8) {
      for (std::uint64_t before = 0; before <= 3; ++before) {
        CAPTURE(start);
        CAPTURE(offset);
        CAPTURE(before);
        RecordMemory memory({256, start});
        RecordProducer producer = memory.producer();
        RecordConsumer consumer = memory.consumer();
        advance(producer, consumer, offset);
        for (std::uint64_t i = 0; i < before; ++i) {
          REQUIRE(push(producer, 20, i) == Transfer::kDone);
        }
        const std::uint64_t fence = producer.position();
        const std::uint64_t wanted_skip = fence - consumer.position();
        producer.abort_published();
        REQUIRE(push(producer, 40, 9) == Transfer::kDone);
        {
          RecordConsumer looking = memory.consumer();
          for (RecordView view; looking.try_peek(view) == Transfer::kDone;) {
            REQUIRE(view.aborted == (view.position < fence));
          }
        }
        REQUIRE(consumer.skip_aborted() == wanted_skip);
        REQUIRE(consumer.skip_aborted() == 0);
        REQUIRE(consumer.done() == fence);
        REQUIRE(memory.consumer_page->credit.load(std::memory_order_relaxed) == fence);
        REQUIRE(pop(consumer, 40, 9));
        REQUIRE_FALSE(consumer.has_message());
      }
    }
  }
}

TEST_CASE("record_ring: messages are copied in and out, many by one publish") {
  RecordMemory memory({256, 0});
  RecordProducer producer = memory.producer();
  RecordConsumer consumer = memory.consumer();
  std::array<std::vector<std::byte>, 6> sent;
  std::array<std::span<const std::byte>, 6> messages;
  for (std::size_t i = 0; i < 6; ++i) {
    sent[i].resize(i * 17);
    write_pattern(sent[i], i);
    messages[i] = sent[i];
  }
  std::size_t count = 0;
  // 8, 32, 48, 64, 80 bytes whole: 232; the sixth needs 96 more.
  CHECK(producer.try_push_many(messages, count) == Transfer::kBlocked);
  CHECK(count == 5);
  CHECK(producer.position() == 232);
  CHECK(producer.try_push_many(std::span(messages).subspan(5), count) == Transfer::kBlocked);
  CHECK(count == 0);
  CHECK(producer.try_push_many({}, count) == Transfer::kDone);

  std::array<RecordView, 3> views;
  REQUIRE(consumer.try_peek_many(views, count) == Transfer::kDone);
  CHECK(count == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(has_pattern(views[i].message, i));
  consumer.release(views[2]);
  CHECK(consumer.done() == 8 + 32 + 48);
  std::array<std::byte, 60> copied;
  std::uint64_t size = 0;
  REQUIRE(consumer.try_pop(copied, size) == Transfer::kDone);
  CHECK(size == 51);
  CHECK(has_pattern(std::span(copied).first(51), 3));
  REQUIRE(consumer.try_pop(copied, size) == Transfer::kDone);
  CHECK(size == 68);  // as much of it as there was room for
  CHECK(std::equal(copied.begin(), copied.end(), sent[4].begin()));
  CHECK(consumer.try_pop(copied, size) == Transfer::kBlocked);
  CHECK(consumer.try_peek_many(views, count) == Transfer::kBlocked);
  CHECK(count == 0);
  CHECK(producer.try_append(messages[5]) == Transfer::kDone);
  CHECK_FALSE(consumer.has_message());
  producer.publish();
  CHECK(consumer.try_peek_many(views, count) == Transfer::kDone);
  CHECK(count == 1);
}

TEST_CASE(
    "record_ring: aeron PR 2015: no room at the end nor at the beginning overwrites nothing") {
  // The record does not fit before the end, and the beginning is not free either: the unread must
  // stay as it is, whatever the offset and the sizes.
  int blocked_count = 0;
  for (std::uint64_t offset = 0; offset < 128; offset += 8) {
    for (std::uint64_t unread = 0; unread <= 56; ++unread) {
      for (std::uint64_t more = 0; more <= 56; ++more) {
        RecordMemory memory({128, 0});
        RecordProducer producer = memory.producer();
        RecordConsumer consumer = memory.consumer();
        advance(producer, consumer, offset);
        std::uint64_t pushed_count = 0;
        REQUIRE(push(producer, unread, pushed_count++) == Transfer::kDone);
        while (push(producer, more, pushed_count) == Transfer::kDone) ++pushed_count;
        REQUIRE(producer.position() - consumer.done() <= 128);
        ++blocked_count;
        REQUIRE(pop(consumer, unread, 0));
        for (std::uint64_t i = 1; i < pushed_count; ++i) REQUIRE(pop(consumer, more, i));
      }
    }
  }
  MESSAGE("rings filled: ", blocked_count);
  CHECK(blocked_count == 16 * 57 * 57);
}

TEST_CASE(
    "record_ring: agrona 22: where only a header fits before the end, it is padding or a record") {
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}}) {
    RecordMemory memory({64, 0});
    RecordProducer producer = memory.producer();
    RecordConsumer consumer = memory.consumer();
    advance(producer, consumer, 56);
    REQUIRE(push(producer, size, 5) == Transfer::kDone);
    const std::uint64_t last = memory.bytes.word(56).load(std::memory_order_relaxed);
    CHECK(last ==
          record_detail::pack(0, size == 0 ? record_detail::kData : record_detail::kPadding));
    CHECK(producer.position() == (size == 0 ? 64 : 80));
    CHECK(pop(consumer, size, 5));
    CHECK_FALSE(consumer.has_message());
  }
}

TEST_CASE("record_ring: agrona 159 and 160: a producer that dies at a full ring leaves it usable") {
  for (std::uint64_t offset = 0; offset < 128; offset += 8) {
    CAPTURE(offset);
    RecordMemory memory({128, 0});
    RecordConsumer consumer = memory.consumer();
    std::uint64_t count = 0;
    {
      RecordProducer producer = memory.producer();
      advance(producer, consumer, offset);
      while (push(producer, 8, count) == Transfer::kDone) ++count;
      std::span<std::byte> payload;
      REQUIRE(producer.try_reserve(8, payload) == Transfer::kBlocked);
    }
    RecordProducer successor = memory.producer();
    CHECK(push(successor, 8, 99) == Transfer::kBlocked);
    for (std::uint64_t i = 0; i < count; ++i) REQUIRE(pop(consumer, 8, i));
    RecordView none;
    CHECK(consumer.try_peek(none) == Transfer::kBlocked);
    CHECK(push(successor, 8, 7) == Transfer::kDone);
    CHECK(pop(consumer, 8, 7));
  }
}

TEST_CASE("record_ring: padding that does not fill its lap, or ends what is published, is a lie") {
  constexpr std::uint64_t kPad = std::uint64_t{2} << 32;
  struct Lie {
    std::uint64_t at;
    std::uint64_t header;
    std::uint64_t tail;
  };
  for (const Lie& lie : {Lie{96, kPad | 24, 128}, Lie{96, kPad | 16, 160}, Lie{96, kPad | 32, 160},
                         Lie{64, kPad | 56, 128}, Lie{96, kPad | 24, 96 + 24}}) {
    CAPTURE(lie.at);
    CAPTURE(lie.header);
    RecordMemory memory({128, 0});
    RecordProducer producer = memory.producer();
    RecordConsumer consumer = memory.consumer();
    advance(producer, consumer, lie.at);
    memory.bytes.word(lie.at).store(lie.header, std::memory_order_relaxed);
    memory.bytes.word(0).store(record_detail::pack(8, record_detail::kData),
                               std::memory_order_relaxed);
    memory.producer_page->tail.store(lie.tail, std::memory_order_relaxed);
    RecordView view;
    CHECK(consumer.try_peek(view) == Transfer::kCorruptPeer);
    CHECK(consumer.position() == lie.at);
  }
  // Padding behind padding.
  RecordMemory memory({128, 0});
  RecordProducer producer = memory.producer();
  RecordConsumer consumer = memory.consumer();
  advance(producer, consumer, 96);
  memory.bytes.word(96).store(kPad | 24, std::memory_order_relaxed);
  memory.bytes.word(0).store(kPad | 8, std::memory_order_relaxed);
  memory.producer_page->tail.store(160, std::memory_order_relaxed);
  RecordView view;
  CHECK(consumer.try_peek(view) == Transfer::kCorruptPeer);
}

}  // namespace
}  // namespace slipring

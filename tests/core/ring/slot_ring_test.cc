#include "core/ring/slot_ring.h"

#include <doctest/doctest.h>

#include <array>

#include "tests/core/error/dies.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring {
namespace {

constexpr std::uint64_t kNear32 = (std::uint64_t{1} << 32) - 3;
constexpr std::uint64_t kNear63 = (std::uint64_t{1} << 63) - 1;

Transfer push(SlotProducer& producer, std::uint64_t number) {
  std::span<std::byte> slot;
  const Transfer answer = producer.try_reserve(slot);
  if (answer == Transfer::kDone) {
    write_pattern(slot, number);
    producer.commit();
  }
  return answer;
}

// The next message's number is its position in every test here.
bool pop_in_order(SlotConsumer& consumer) {
  const std::uint64_t number = consumer.position();
  SlotView view;
  if (consumer.try_peek(view) != Transfer::kDone) return false;
  const bool right = view.position == number && has_pattern(view.message, number);
  consumer.release(view);
  return right;
}

TEST_CASE("slot_ring: a geometry out of range is refused with the offending value") {
  CHECK(slot_validate({2, 1, 0}).ok());
  CHECK(slot_validate({kMaxSlotCount, kMaxSlotBytes, kNear63}).ok());
  for (const std::uint64_t count :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{3}, kMaxSlotCount * 2, UINT64_MAX}) {
    const Status refused = slot_validate({count, 8, 0});
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == ErrorCode::kInvalidArgument);
    CHECK(refused.error().found == count);
  }
  for (const std::uint32_t bytes : {std::uint32_t{0}, kMaxSlotBytes + 1, UINT32_MAX}) {
    CHECK_FALSE(slot_validate({8, bytes, 0}).ok());
  }
  CHECK_FALSE(slot_validate({8, 8, kNear63 + 1}).ok());
  CHECK_FALSE(slot_validate({8, 8, UINT64_MAX}).ok());
}

TEST_CASE("slot_ring: strides keep sequence words aligned and small slots within one line") {
  for (std::uint32_t bytes = 1; bytes <= 4096; ++bytes) {
    const std::uint64_t stride = slot_stride_bytes(bytes);
    CAPTURE(bytes);
    REQUIRE(stride >= bytes + 8U);
    REQUIRE(stride % 16 == 0);
    REQUIRE((stride <= kCacheLineBytes ? kCacheLineBytes % stride : stride % kCacheLineBytes) == 0);
  }
  CHECK(slot_stride_bytes(8) == 16);
  CHECK(slot_stride_bytes(9) == 32);
  CHECK(slot_stride_bytes(25) == 64);
  CHECK(slot_stride_bytes(56) == 64);
  CHECK(slot_stride_bytes(57) == 128);
}

TEST_CASE("slot_ring: holds exactly slot_count messages, in order, from any start position") {
  for (const std::uint64_t start : {std::uint64_t{0}, std::uint64_t{5}, kNear32, kNear63}) {
    for (const std::uint64_t count : {2U, 4U, 64U}) {
      for (const std::uint32_t bytes : {1U, 8U, 24U, 56U, 200U}) {
        CAPTURE(start);
        CAPTURE(count);
        CAPTURE(bytes);
        SlotRingMemory memory({count, bytes, start});
        SlotProducer producer = memory.producer();
        SlotConsumer consumer = memory.consumer();
        for (int lap = 0; lap < 3; ++lap) {
          CHECK_FALSE(consumer.has_message());
          for (std::uint64_t i = 0; i < count; ++i) {
            REQUIRE(producer.has_space());
            REQUIRE(push(producer, producer.position()) == Transfer::kDone);
          }
          CHECK_FALSE(producer.has_space());
          CHECK(push(producer, 0) == Transfer::kBlocked);
          CHECK(consumer.has_message());
          for (std::uint64_t i = 0; i < count; ++i) REQUIRE(pop_in_order(consumer));
          SlotView none;
          CHECK(consumer.try_peek(none) == Transfer::kBlocked);
        }
        CHECK(producer.position() == start + 3 * count);
        CHECK(consumer.done() == start + 3 * count);
      }
    }
  }
}

TEST_CASE("slot_ring: what is reserved and not committed is invisible and is reserved again") {
  SlotRingMemory memory({4, 8, 0});
  SlotProducer producer = memory.producer();
  SlotConsumer consumer = memory.consumer();
  std::span<std::byte> first;
  std::span<std::byte> again;
  REQUIRE(producer.try_reserve(first) == Transfer::kDone);
  write_pattern(first, 99);
  SlotView view;
  CHECK(consumer.try_peek(view) == Transfer::kBlocked);
  REQUIRE(producer.try_reserve(again) == Transfer::kDone);
  CHECK(again.data() == first.data());
  CHECK(again.size() == 8);
}

TEST_CASE("slot_ring: try_push and try_pop copy, and take shorter messages and none") {
  SlotRingMemory memory({4, 8, 0});
  SlotProducer producer = memory.producer();
  SlotConsumer consumer = memory.consumer();
  const std::array<std::byte, 3> short_message{std::byte{1}, std::byte{2}, std::byte{3}};
  CHECK(producer.try_push(short_message) == Transfer::kDone);
  CHECK(producer.try_push({}) == Transfer::kDone);
  std::array<std::byte, 16> out{};
  CHECK(consumer.try_pop(out) == Transfer::kDone);
  CHECK(std::equal(short_message.begin(), short_message.end(), out.begin()));
  CHECK(out[8] == std::byte{0});
  CHECK(consumer.try_pop({}) == Transfer::kDone);
  CHECK(consumer.try_pop(out) == Transfer::kBlocked);
  CHECK(dies([&] {
    const std::array<std::byte, 9> too_long{};
    static_cast<void>(producer.try_push(too_long));
  }));
}

TEST_CASE("slot_ring: several messages are held at once and finished by one release") {
  SlotRingMemory memory({4, 8, 0});
  SlotProducer producer = memory.producer();
  SlotConsumer consumer = memory.consumer();
  for (std::uint64_t i = 0; i < 4; ++i) REQUIRE(push(producer, i) == Transfer::kDone);
  std::array<SlotView, 4> views;
  for (SlotView& view : views) REQUIRE(consumer.try_peek(view) == Transfer::kDone);
  SlotView fifth;
  CHECK(consumer.try_peek(fifth) == Transfer::kBlocked);
  CHECK_FALSE(consumer.has_message());
  CHECK(push(producer, 4) == Transfer::kBlocked);
  for (std::uint64_t i = 0; i < 4; ++i) CHECK(has_pattern(views[i].message, i));
  consumer.release(views[2]);
  CHECK(consumer.done() == 3);
  CHECK(dies([&] { consumer.release(views[1]); }));
  CHECK(dies([&] { consumer.release({{}, 4, false, false}); }));
  for (std::uint64_t i = 4; i < 7; ++i) REQUIRE(push(producer, i) == Transfer::kDone);
  CHECK(push(producer, 7) == Transfer::kBlocked);
  CHECK(has_pattern(views[3].message, 3));
}

TEST_CASE("slot_ring: credit is given a quarter lap at a time, and whole when idle") {
  SlotRingMemory memory({16, 8, 0});
  SlotProducer producer = memory.producer();
  SlotConsumer consumer = memory.consumer();
  const auto credit = [&] { return memory.consumer_page->credit.load(std::memory_order_relaxed); };
  for (std::uint64_t i = 0; i < 16; ++i) REQUIRE(push(producer, i) == Transfer::kDone);
  for (std::uint64_t i = 0; i < 16; ++i) {
    REQUIRE(pop_in_order(consumer));
    REQUIRE(credit() == (i + 1) / 4 * 4);
    REQUIRE(consumer.credit_given() == credit());
    REQUIRE(producer.done() == i + 1);
  }
  REQUIRE(push(producer, 16) == Transfer::kDone);
  REQUIRE(pop_in_order(consumer));
  CHECK(credit() == 16);
  SlotView none;
  CHECK(consumer.try_peek(none) == Transfer::kBlocked);
  CHECK(credit() == 17);
  REQUIRE(push(producer, 17) == Transfer::kDone);
  REQUIRE(pop_in_order(consumer));
  consumer.publish_credit();
  CHECK(credit() == 18);
}

TEST_CASE("slot_ring: a producer's death before, between and after the stores of a commit") {
  for (const std::uint64_t start : {std::uint64_t{0}, kNear32, kNear63}) {
    for (std::uint64_t already = 0; already < 12; ++already) {
      // tail_offset: what tail shows beside the number of stored sequences.  The two stores are not
      // ordered against each other, so that either may be missing.
      for (const int tail_offset : {-1, 0, 1}) {
        CAPTURE(start);
        CAPTURE(already);
        CAPTURE(tail_offset);
        if (tail_offset == -1 && already == 0) continue;
        SlotRingMemory memory({4, 8, start});
        SlotConsumer consumer = memory.consumer();
        {
          SlotProducer producer = memory.producer();
          for (std::uint64_t i = 0; i < already; ++i) {
            if (i >= 4) REQUIRE(pop_in_order(consumer));
            REQUIRE(push(producer, producer.position()) == Transfer::kDone);
          }
          std::span<std::byte> half_written;
          if (already < 4) REQUIRE(producer.try_reserve(half_written) == Transfer::kDone);
          if (!half_written.empty()) half_written[0] = std::byte{0xff};
        }
        memory.producer_page->tail.store(
            start + already + static_cast<std::uint64_t>(std::int64_t{tail_offset}),
            std::memory_order_relaxed);
        SlotProducer successor = memory.producer();
        CHECK(successor.position() == start + already);
        CHECK(memory.producer_page->tail.load(std::memory_order_relaxed) == start + already);
        for (std::uint64_t i = successor.done(); i != successor.position(); ++i) {
          CHECK(has_pattern(successor.published(i), i));
        }
        const std::uint64_t room = 4 - (successor.position() - successor.done());
        for (std::uint64_t i = 0; i < room; ++i) {
          REQUIRE(push(successor, successor.position()) == Transfer::kDone);
        }
        while (consumer.has_message()) REQUIRE(pop_in_order(consumer));
        CHECK(consumer.done() == successor.position());
      }
    }
  }
}

TEST_CASE("slot_ring: a dead consumer's taken and unfinished messages come again, marked") {
  for (const std::uint64_t start : {std::uint64_t{0}, std::uint64_t{6}, kNear32, kNear63}) {
    for (std::uint64_t taken = 0; taken <= 4; ++taken) {
      for (std::uint64_t done = 0; done <= taken; ++done) {
        CAPTURE(start);
        CAPTURE(taken);
        CAPTURE(done);
        SlotRingMemory memory({4, 8, start});
        SlotProducer producer = memory.producer();
        for (std::uint64_t i = 0; i < 4; ++i) {
          REQUIRE(push(producer, producer.position()) == Transfer::kDone);
        }
        {
          SlotConsumer consumer = memory.consumer();
          std::array<SlotView, 4> views;
          for (std::uint64_t i = 0; i < taken; ++i) {
            REQUIRE(consumer.try_peek(views[i]) == Transfer::kDone);
            REQUIRE_FALSE(views[i].redelivered);
          }
          if (done != 0) consumer.release(views[done - 1]);
        }
        SlotConsumer successor = memory.consumer();
        for (std::uint64_t i = done; i < 4; ++i) {
          SlotView view;
          REQUIRE(successor.try_peek(view) == Transfer::kDone);
          CHECK(view.position == start + i);
          CHECK(view.redelivered == (i < taken));
          CHECK(has_pattern(view.message, start + i));
          successor.release(view);
        }
        SlotView none;
        CHECK(successor.try_peek(none) == Transfer::kBlocked);
        for (int i = 0; i < 4; ++i) {
          REQUIRE(push(producer, producer.position()) == Transfer::kDone);
          REQUIRE(successor.try_peek(none) == Transfer::kDone);
          CHECK_FALSE(none.redelivered);
          successor.release(none);
        }
      }
    }
  }
}

TEST_CASE("slot_ring: credit that a dead consumer kept back is given by its successor") {
  SlotRingMemory memory({16, 8, 0});
  SlotProducer producer = memory.producer();
  for (std::uint64_t i = 0; i < 16; ++i) REQUIRE(push(producer, i) == Transfer::kDone);
  {
    SlotConsumer consumer = memory.consumer();
    for (int i = 0; i < 3; ++i) REQUIRE(pop_in_order(consumer));
  }
  CHECK(memory.consumer_page->credit.load(std::memory_order_relaxed) == 0);
  SlotConsumer successor = memory.consumer();
  REQUIRE(pop_in_order(successor));
  CHECK(memory.consumer_page->credit.load(std::memory_order_relaxed) == 4);
  CHECK(push(producer, 16) == Transfer::kDone);
}

TEST_CASE("slot_ring: a producer's successor trusts done above an older credit") {
  SlotRingMemory memory({16, 8, 0});
  SlotConsumer consumer = memory.consumer();
  {
    SlotProducer producer = memory.producer();
    for (std::uint64_t i = 0; i < 16; ++i) REQUIRE(push(producer, i) == Transfer::kDone);
  }
  for (int i = 0; i < 3; ++i) REQUIRE(pop_in_order(consumer));
  SlotProducer successor = memory.producer();
  for (std::uint64_t i = 16; i < 19; ++i) REQUIRE(push(successor, i) == Transfer::kDone);
  CHECK(push(successor, 19) == Transfer::kBlocked);
  for (int i = 0; i < 16; ++i) REQUIRE(pop_in_order(consumer));
  CHECK(push(successor, 19) == Transfer::kDone);
}

TEST_CASE("slot_ring: abort marks what was published before it, and nothing after") {
  for (const std::uint64_t start : {std::uint64_t{0}, kNear32, kNear63}) {
    for (std::uint64_t before = 0; before <= 4; ++before) {
      for (std::uint64_t read = 0; read <= before; ++read) {
        CAPTURE(start);
        CAPTURE(before);
        CAPTURE(read);
        SlotRingMemory memory({4, 8, start});
        SlotProducer producer = memory.producer();
        SlotConsumer consumer = memory.consumer();
        for (std::uint64_t i = 0; i < before; ++i) {
          REQUIRE(push(producer, producer.position()) == Transfer::kDone);
        }
        for (std::uint64_t i = 0; i < read; ++i) REQUIRE(pop_in_order(consumer));
        producer.abort_published();
        if (producer.has_space()) {
          REQUIRE(push(producer, producer.position()) == Transfer::kDone);
        }
        SlotConsumer looking = memory.consumer();
        for (SlotView view; looking.try_peek(view) == Transfer::kDone;) {
          CHECK(view.aborted == (view.position < start + before));
        }
        CHECK(consumer.skip_aborted() == before - read);
        CHECK(consumer.done() == start + before);
        CHECK(consumer.skip_aborted() == 0);
        while (consumer.has_message()) {
          SlotView view;
          REQUIRE(consumer.try_peek(view) == Transfer::kDone);
          CHECK_FALSE(view.aborted);
          CHECK(has_pattern(view.message, view.position));
          consumer.release(view);
        }
        CHECK(memory.consumer_page->credit.load(std::memory_order_relaxed) >= start + before);
      }
    }
  }
}

TEST_CASE("slot_ring: skipping while messages are held is a bug of the caller") {
  SlotRingMemory memory({4, 8, 0});
  SlotProducer producer = memory.producer();
  SlotConsumer consumer = memory.consumer();
  REQUIRE(push(producer, 0) == Transfer::kDone);
  SlotView view;
  REQUIRE(consumer.try_peek(view) == Transfer::kDone);
  CHECK(dies([&] { consumer.skip_aborted(); }));
}

}  // namespace
}  // namespace slipring

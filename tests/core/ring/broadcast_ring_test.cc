#include "core/ring/broadcast_ring.h"

#include <doctest/doctest.h>

#include <vector>

#include "tests/core/error/dies.h"
#include "tests/core/ring/broadcast_ends.h"
#include "tests/core/ring/broadcast_memory.h"

namespace slipring {
namespace {

TEST_CASE("broadcast: every reader gets every message, whatever the policy and the start") {
  for (const BroadcastPolicy policy : kAllPolicies) {
    for (const std::uint64_t start : kStarts) {
      BroadcastMemory memory(shape(policy, 8, start));
      BroadcastWriter writer = memory.writer();
      std::vector<BroadcastReader> readers;
      for (std::uint32_t i = 0; i < 4; ++i) readers.push_back(memory.member(i, kNewest));
      for (std::uint64_t i = 0; i < 50; ++i) {
        push(writer, 1);
        for (BroadcastReader& reader : readers) {
          CHECK(reader.has_message());
          take(reader, start + i);
          CHECK_FALSE(reader.has_message());
          CHECK(pop(reader) == Reception::kBlocked);
        }
      }
      CHECK(writer.policy() == policy);
      CHECK(readers[0].policy() == policy);
      CHECK(writer.position() == start + 50);
    }
  }
}

TEST_CASE("broadcast: a geometry that cannot be is refused with the value that is wrong") {
  const auto refused = [](BroadcastGeometry geometry, std::uint64_t found) {
    const Status status = broadcast_validate(geometry);
    return !status && status.error().code == ErrorCode::kInvalidArgument &&
           status.error().found == found;
  };
  CHECK(broadcast_validate({2, 1, 0, 1, kOverwrite, 0}).ok());
  CHECK(broadcast_validate({2, 1U << 20, std::uint64_t{1} << 63, 64, kEvict, 2}).ok());
  CHECK(refused({1, 8, 0, 1, kBlock, 0}, 1));
  CHECK(refused({12, 8, 0, 1, kBlock, 0}, 12));
  CHECK(refused({std::uint64_t{1} << 33, 8, 0, 1, kBlock, 0}, std::uint64_t{1} << 33));
  CHECK(refused({8, 0, 0, 1, kBlock, 0}, 0));
  CHECK(refused({8, (1U << 20) + 1, 0, 1, kBlock, 0}, (1U << 20) + 1));
  CHECK(refused({8, 8, UINT64_MAX, 1, kBlock, 0}, UINT64_MAX));
  CHECK(refused({8, 8, 0, 0, kBlock, 0}, 0));
  CHECK(refused({8, 8, 0, 65, kBlock, 0}, 65));
  CHECK(refused({8, 8, 0, 1, static_cast<BroadcastPolicy>(7), 0}, 7));
  CHECK(refused({8, 8, 0, 1, kEvict, 0}, 0));
  CHECK(refused({8, 8, 0, 1, kEvict, 9}, 9));
}

TEST_CASE("broadcast: a new writer goes on behind the last message and knows the members") {
  for (const BroadcastPolicy policy : kAllPolicies) {
    for (const std::uint64_t start : kStarts) {
      BroadcastMemory memory(shape(policy, 8, start));
      BroadcastReader reader = memory.member(0, kNewest);
      for (std::uint64_t i = 0; i < 60; ++i) {
        BroadcastWriter writer = memory.writer();
        REQUIRE(writer.position() == start + i);
        push(writer, 1);
        take(reader, start + i);
      }
      BroadcastWriter writer = memory.writer();
      if (policy == kBlock) {
        push(writer, 8);
        CHECK(push_pattern(writer) == Transfer::kBlocked);
        BroadcastWriter next = memory.writer();
        CHECK(push_pattern(next) == Transfer::kBlocked);
      }
    }
  }
}

TEST_CASE("broadcast: a half-written slot is no message, and the next writer writes it anew") {
  BroadcastMemory memory(shape(kBlock));
  BroadcastReader reader = memory.member(0, kNewest);
  {
    BroadcastWriter dead = memory.writer();
    push(dead, 3);
    std::span<std::byte> slot;
    REQUIRE(dead.try_reserve(slot) == Transfer::kDone);
    slot[0] = std::byte{0xff};
  }
  for (std::uint64_t i = 0; i < 3; ++i) take(reader, i);
  CHECK_FALSE(reader.has_message());
  CHECK(pop(reader) == Reception::kBlocked);
  BroadcastWriter writer = memory.writer();
  CHECK(writer.position() == 3);
  push(writer, 1);
  take(reader, 3);
}

TEST_CASE("broadcast: an aborted message says so, and all of them are skipped in one step") {
  for (const BroadcastPolicy policy : kAllPolicies) {
    BroadcastMemory memory(shape(policy));
    BroadcastWriter writer = memory.writer();
    BroadcastReader reader = memory.member(0, kNewest);
    CHECK(reader.skip_aborted() == 0);
    push(writer, 3);
    CHECK_FALSE(reader.has_abort());
    writer.abort_published();
    push(writer, 1);
    BroadcastView view;
    REQUIRE(reader.try_peek(view) == Reception::kDone);
    CHECK(view.aborted);
    reader.release(view);
    CHECK(reader.has_abort());
    CHECK(reader.skip_aborted() == 2);
    CHECK_FALSE(reader.has_abort());
    CHECK(reader.skip_aborted() == 0);
    REQUIRE(reader.try_peek(view) == Reception::kDone);
    CHECK_FALSE(view.aborted);
    CHECK(view.position == 3);
    CHECK(reader.lost_count() == 0);
  }
}

TEST_CASE(
    "broadcast: a lying cursor delays a blocking writer, is named once, and can be excluded") {
  for (const std::uint64_t start : kStarts) {
    for (const std::uint64_t lie :
         {start + 9, start - 1, UINT64_MAX, start + (std::uint64_t{1} << 62)}) {
      BroadcastMemory memory(shape(kBlock, 8, start));
      BroadcastWriter writer = memory.writer();
      BroadcastReader honest = memory.member(0, kNewest);
      BroadcastReader liar = memory.member(2, kNewest);
      push(writer, 8);
      for (std::uint64_t i = 0; i < 8; ++i) take(honest, start + i);
      memory.reader_pages[2]->credit.store(lie);
      CHECK(push_pattern(writer) == Transfer::kCorruptPeer);
      CHECK(writer.corrupt_reader() == 2);
      CHECK(push_pattern(writer) == Transfer::kBlocked);
      memory.reader_pages[2]->credit.store(lie + 1);
      CHECK(push_pattern(writer) == Transfer::kBlocked);
      writer.exclude(2);
      push(writer, 8);
      CHECK(pop(liar) == Reception::kEvicted);
      REQUIRE(liar.join(kNewest).ok());
      for (std::uint64_t i = 8; i < 16; ++i) take(honest, start + i);
      push(writer, 8);  // excluded stays excluded
      CHECK(writer.put_out_count() == 2);
      CHECK(honest.lost_count() == 0);
    }
  }
}

TEST_CASE("broadcast: typed ends carry values") {
  struct Sample {
    std::uint32_t channel;
    double value;
  };
  BroadcastMemory memory({4, sizeof(Sample), 0, 1, kOverwrite, 0});
  TypedBroadcastWriter<Sample> writer(memory.writer());
  TypedBroadcastReader<Sample> reader(memory.member(0, kNewest));
  Sample sample{};
  std::uint64_t lost = 1;
  CHECK(reader.try_pop(sample, lost) == Reception::kBlocked);
  CHECK(lost == 0);
  for (std::uint32_t i = 0; i < 9; ++i) {
    REQUIRE(writer.try_push({i, i * 0.5}) == Transfer::kDone);
  }
  REQUIRE(reader.try_pop(sample, lost) == Reception::kDone);
  CHECK(lost == 6);
  CHECK(sample.channel == 6);
  CHECK(sample.value == 3.0);
  CHECK(writer.ring().position() == 9);
  CHECK(reader.ring().position() == 7);
}

TEST_CASE("broadcast: every slot size to 72 bytes and the largest, whole") {
  std::vector<std::uint32_t> sizes{1U << 20};
  for (std::uint32_t size = 1; size <= 72; ++size) sizes.push_back(size);
  for (const std::uint32_t size : sizes) {
    CAPTURE(size);
    BroadcastMemory memory({2, size, 0, 1, kOverwrite, 0});
    BroadcastWriter writer = memory.writer();
    BroadcastReader reader = memory.member(0, kNewest);
    for (std::uint64_t i = 0; i < 5; ++i) {
      push(writer, 1);
      take(reader, i);
    }
  }
}

TEST_CASE(
    "broadcast: more readers than places, and other mistakes of the caller, stop the process") {
  BroadcastMemory memory(shape(kOverwrite));
  BroadcastWriter writer = memory.writer();
  BroadcastReader reader = memory.member(0, kNewest);
  BroadcastReader stranger = memory.reader(1);
  std::vector<std::byte> large(25);
  std::span<std::byte> slot;
  BroadcastView view;
  CHECK_FALSE(BroadcastReader::attach(*memory.reader_pages[0], *memory.writer_page,
                                      memory.slots.data(), 4, memory.geometry)
                  .ok());
  CHECK(dies([&] { static_cast<void>(writer.try_push(large)); }));
  CHECK(dies([&] { static_cast<void>(writer.try_reserve(slot)); }));
  CHECK(dies([&] { writer.drop_reader(4); }));
  CHECK(dies([&] { static_cast<void>(reader.join(kNewest)); }));
  CHECK(dies([&] { static_cast<void>(stranger.try_peek(view)); }));
  CHECK(dies([&] { reader.release({{}, 0}); }));
  CHECK(dies([&] { TypedBroadcastWriter<int> other(writer); }));
  CHECK_FALSE(dies([&] { static_cast<void>(push_pattern(writer)); }));
}

}  // namespace
}  // namespace slipring

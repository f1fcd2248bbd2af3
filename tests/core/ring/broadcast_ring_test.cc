#include "core/ring/broadcast_ring.h"

#include <doctest/doctest.h>

#include <vector>

#include "tests/core/error/dies.h"
#include "tests/core/ring/broadcast_memory.h"

namespace slipring {
namespace {

constexpr BroadcastPolicy kOverwrite = BroadcastPolicy::kOverwrite;
constexpr BroadcastPolicy kBlock = BroadcastPolicy::kBlock;
constexpr BroadcastPolicy kEvict = BroadcastPolicy::kEvict;
constexpr BroadcastJoin kNewest = BroadcastJoin::kNewest;
constexpr BroadcastJoin kOldest = BroadcastJoin::kOldest;

constexpr std::uint64_t kStarts[] = {0, (std::uint64_t{1} << 32) - 3, (std::uint64_t{1} << 63) - 3};

BroadcastGeometry shape(BroadcastPolicy policy, std::uint64_t slot_count = 8,
                        std::uint64_t start = 0) {
  return {slot_count, 24, start, 4, policy, policy == kEvict ? slot_count / 2 : 0};
}

void push(BroadcastWriter& writer, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) REQUIRE(push_pattern(writer) == Transfer::kDone);
}

// Takes the next message, which must be whole and the one after `lost` others.
void take(BroadcastReader& reader, std::uint64_t position, std::uint64_t lost = 0) {
  std::vector<std::byte> message(reader.slot_bytes());
  BroadcastView view;
  REQUIRE(reader.try_pop(message, view) == Reception::kDone);
  CHECK(view.position == position);
  CHECK(view.lost == lost);
  CHECK(has_pattern(message, position));
}

Reception pop(BroadcastReader& reader) {
  std::vector<std::byte> message(reader.slot_bytes());
  BroadcastView view;
  return reader.try_pop(message, view);
}

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

TEST_CASE("broadcast overwrite: the writer never waits, and the loss is exact") {
  for (const std::uint64_t start : kStarts) {
    BroadcastMemory memory(shape(kOverwrite, 8, start));
    BroadcastWriter writer = memory.writer();
    BroadcastReader reader = memory.member(0, kNewest);
    push(writer, 8);
    take(reader, start);  // a whole lap behind is not too late
    push(writer, 3);
    // Published 11: the oldest that nobody can be overwriting is 4, and one for a head start.
    take(reader, start + 5, 4);
    CHECK(reader.lost_count() == 4);
    for (std::uint64_t i = 6; i < 11; ++i) take(reader, start + i);
    CHECK(pop(reader) == Reception::kBlocked);
    push(writer, 1000);
    take(reader, start + 1005, 1005 - 11);
    CHECK(reader.lost_count() == 4 + 994);
    CHECK(memory.reader_pages[0]->lost.load() == 998);
    CHECK(writer.scan_count() == 0);
  }
}

TEST_CASE("broadcast overwrite: a view in place says when it is no longer what it was") {
  BroadcastMemory memory(shape(kOverwrite));
  BroadcastWriter writer = memory.writer();
  BroadcastReader reader = memory.member(0, kNewest);
  push(writer, 2);
  BroadcastView view;
  BroadcastView second;
  REQUIRE(reader.try_peek(view) == Reception::kDone);
  REQUIRE(reader.try_peek(second) == Reception::kDone);
  CHECK_FALSE(view.is_stable);
  push(writer, 6);
  CHECK(has_pattern(view.message, 0));
  CHECK(reader.is_still_valid(view));
  std::vector<std::byte> copy(24);
  CHECK(reader.copy_out(view, copy));
  CHECK(has_pattern(copy, 0));
  push(writer, 1);
  CHECK_FALSE(reader.is_still_valid(view));
  CHECK_FALSE(reader.copy_out(view, copy));
  CHECK(reader.is_still_valid(second));
  reader.release(second);
  CHECK(reader.done() == 2);
  reader.release(view);  // finished with the second
  CHECK(reader.done() == 2);
}

TEST_CASE("broadcast block: the writer waits for the slowest member, and for nobody else") {
  for (const std::uint64_t start : kStarts) {
    BroadcastMemory memory(shape(kBlock, 8, start));
    BroadcastWriter writer = memory.writer();
    BroadcastReader fast = memory.member(0, kNewest);
    BroadcastReader slow = memory.member(2, kNewest);
    push(writer, 8);
    CHECK(push_pattern(writer) == Transfer::kBlocked);
    for (std::uint64_t i = 0; i < 8; ++i) take(fast, start + i);
    CHECK(pop(fast) == Reception::kBlocked);
    CHECK(push_pattern(writer) == Transfer::kBlocked);
    CHECK_FALSE(writer.has_space());
    take(slow, start);
    take(slow, start + 1);  // a quarter of the ring: credit is given
    CHECK(writer.has_space());
    push(writer, 2);
    CHECK(push_pattern(writer) == Transfer::kBlocked);
    slow.leave();
    CHECK(writer.has_space());
    push(writer, 6);
    CHECK(push_pattern(writer) == Transfer::kBlocked);
    take(fast, start + 8);
    fast.publish_credit();
    push(writer, 1);
    CHECK(fast.lost_count() == 0);
  }
}

TEST_CASE("broadcast block: nobody there, nobody waited for") {
  BroadcastMemory memory(shape(kBlock));
  BroadcastWriter writer = memory.writer();
  push(writer, 1000);
  CHECK(writer.scan_count() == 125);  // once a lap, so that who joins is seen
}

TEST_CASE("broadcast block: while it is blocked the writer asks the slowest alone") {
  BroadcastMemory memory(shape(kBlock));
  BroadcastWriter writer = memory.writer();
  BroadcastReader reader = memory.member(1, kNewest);
  push(writer, 8);
  CHECK(push_pattern(writer) == Transfer::kBlocked);
  const std::uint64_t scan_count = writer.scan_count();
  for (int i = 0; i < 100; ++i) CHECK(push_pattern(writer) == Transfer::kBlocked);
  CHECK(writer.scan_count() == scan_count);
  take(reader, 0);
  reader.publish_credit();
  push(writer, 1);
  CHECK(writer.scan_count() == scan_count + 1);
}

TEST_CASE("broadcast block: messages are written and read in place, several at once") {
  BroadcastMemory memory(shape(kBlock));
  BroadcastWriter writer = memory.writer();
  BroadcastReader reader = memory.member(0, kNewest);
  std::vector<BroadcastView> views(8);
  for (std::uint64_t i = 0; i < 8; ++i) {
    std::span<std::byte> slot;
    REQUIRE(writer.try_reserve(slot) == Transfer::kDone);
    CHECK(pop(reader) == Reception::kBlocked);
    std::span<std::byte> again;
    REQUIRE(writer.try_reserve(again) == Transfer::kDone);
    CHECK(again.data() == slot.data());
    write_pattern(slot, i);
    writer.commit();
    REQUIRE(reader.try_peek(views[i]) == Reception::kDone);
    CHECK(views[i].is_stable);
    CHECK(memory.slots.contains(views[i].message));
  }
  BroadcastView ninth;
  CHECK(reader.try_peek(ninth) == Reception::kBlocked);
  CHECK(push_pattern(writer) == Transfer::kBlocked);
  for (std::uint64_t i = 0; i < 8; ++i) {
    CHECK(has_pattern(views[i].message, i));
    CHECK(reader.is_still_valid(views[i]));
  }
  reader.release(views[7]);
  push(writer, 8);
  take(reader, 8);
}

TEST_CASE("broadcast evict: beyond the lag limit a reader is put out, and counts its loss") {
  for (const std::uint64_t start : kStarts) {
    BroadcastMemory memory(shape(kEvict, 8, start));  // the limit is 4
    BroadcastWriter writer = memory.writer();
    BroadcastReader fast = memory.member(0, kNewest);
    BroadcastReader slow = memory.member(1, kNewest);
    for (std::uint64_t i = 0; i < 4; ++i) {
      push(writer, 1);
      take(fast, start + i);
    }
    take(slow, start);
    push(writer, 1);  // four behind: not beyond the limit
    CHECK_FALSE(slow.was_evicted());
    take(slow, start + 1);
    push(writer, 1);
    CHECK_FALSE(slow.was_evicted());
    take(fast, start + 4);
    push(writer, 1);
    CHECK(slow.was_evicted());
    CHECK(slow.has_message());
    CHECK(pop(slow) == Reception::kEvicted);
    CHECK(pop(slow) == Reception::kEvicted);
    CHECK_FALSE(fast.was_evicted());
    CHECK(writer.put_out_count() == 1);
    push(writer, 3);
    REQUIRE(slow.join(kNewest).ok());
    CHECK_FALSE(slow.was_evicted());
    CHECK(pop(slow) == Reception::kBlocked);
    push(writer, 1);
    take(slow, start + 10, 8);
    CHECK(slow.lost_count() == 8);
  }
}

TEST_CASE("broadcast evict: what a dead reader had taken is marked, though it was put out") {
  BroadcastMemory memory(shape(kEvict));
  BroadcastWriter writer = memory.writer();
  {
    BroadcastReader dying = memory.member(0, kNewest);
    push(writer, 3);
    BroadcastView view;
    REQUIRE(dying.try_peek(view) == Reception::kDone);
    REQUIRE(dying.try_peek(view) == Reception::kDone);
  }
  push(writer, 3);  // beyond the lag limit of 4; the ring of 8 still has them all
  for (int successor = 0; successor < 2; ++successor) {
    BroadcastReader reader = memory.reader(0);
    if (reader.was_evicted()) REQUIRE(reader.join(kOldest));
    // The first successor dies holding one of them.
    for (std::uint64_t i = 0; i < (successor == 0 ? 1U : 6U); ++i) {
      BroadcastView view;
      REQUIRE(reader.try_peek(view) == Reception::kDone);
      CHECK(view.position == i);
      CHECK(view.redelivered == (i < 2));
    }
  }
}

TEST_CASE("broadcast evict: who joins again at the oldest loses only what is gone") {
  BroadcastMemory memory(shape(kEvict));
  BroadcastWriter writer = memory.writer();
  BroadcastReader reader = memory.member(1, kNewest);
  push(writer, 5);
  REQUIRE(pop(reader) == Reception::kEvicted);
  REQUIRE(reader.join(kOldest).ok());
  take(reader, 0);  // put out, but nothing was overwritten yet
  push(writer, 20);
  REQUIRE(pop(reader) == Reception::kEvicted);
  REQUIRE(reader.join(kOldest).ok());
  take(reader, 17, 16);
  // What was delivered before does not come again.
  push(writer, 9);
  REQUIRE(pop(reader) == Reception::kEvicted);
  REQUIRE(reader.join(kOldest).ok());
  take(reader, 26, 8);
  CHECK(reader.lost_count() == 24);
}

TEST_CASE("broadcast: who joins late begins at the newest, or at the oldest still there") {
  for (const BroadcastPolicy policy : kAllPolicies) {
    for (const std::uint64_t start : kStarts) {
      BroadcastMemory memory(shape(policy, 8, start));
      BroadcastWriter writer = memory.writer();
      BroadcastReader early = memory.member(0, kOldest);
      CHECK(pop(early) == Reception::kBlocked);
      early.leave();
      push(writer, 3);
      BroadcastReader first = memory.member(0, kOldest);
      take(first, start);
      first.leave();
      push(writer, 18);
      BroadcastReader oldest = memory.member(1, kOldest);
      BroadcastReader newest = memory.member(2, kNewest);
      CHECK(oldest.lost_count() == 0);
      for (std::uint64_t i = 13; i < 21; ++i) take(oldest, start + i);
      CHECK(pop(newest) == Reception::kBlocked);
      push(writer, 1);
      take(oldest, start + 21);
      take(newest, start + 21);
      CHECK(newest.lost_count() == 0);
    }
  }
}

TEST_CASE("broadcast block: what was there before joining is not promised, what comes after is") {
  BroadcastMemory memory(shape(kBlock));
  BroadcastWriter writer = memory.writer();
  push(writer, 12);  // looked at the readers at 8
  BroadcastReader reader = memory.member(0, kOldest);
  CHECK(reader.position() == 4);
  BroadcastView view;
  REQUIRE(reader.try_peek(view) == Reception::kDone);
  CHECK_FALSE(view.is_stable);
  push(writer, 4);
  CHECK(push_pattern(writer) == Transfer::kBlocked);
  CHECK_FALSE(reader.is_still_valid(view));
  reader.release(view);
  take(reader, 8, 3);
  CHECK(reader.lost_count() == 3);
  for (std::uint64_t i = 9; i < 16; ++i) take(reader, i);
  push(writer, 8);
}

TEST_CASE("broadcast: a reader that left is owed nothing for its absence") {
  for (const BroadcastPolicy policy : kAllPolicies) {
    BroadcastMemory memory(shape(policy));
    BroadcastWriter writer = memory.writer();
    BroadcastReader reader = memory.member(0, kNewest);
    push(writer, 2);
    take(reader, 0);
    reader.leave();
    CHECK_FALSE(reader.is_member());
    push(writer, 100);
    REQUIRE(reader.join(kNewest).ok());
    push(writer, 1);
    take(reader, 102);
    CHECK(reader.lost_count() == 0);
  }
}

TEST_CASE("broadcast: a dead reader's successor goes on where it stood, and knows what it took") {
  for (const BroadcastPolicy policy : kAllPolicies) {
    BroadcastMemory memory(shape(policy));
    BroadcastWriter writer = memory.writer();
    {
      BroadcastReader dead = memory.member(3, kNewest);
      push(writer, 4);
      take(dead, 0);
      BroadcastView view;
      REQUIRE(dead.try_peek(view) == Reception::kDone);
      REQUIRE(dead.try_peek(view) == Reception::kDone);
    }
    BroadcastReader reader = memory.reader(3);
    REQUIRE(reader.is_member());
    BroadcastView view;
    std::vector<std::byte> message(24);
    for (std::uint64_t i = 1; i < 4; ++i) {
      REQUIRE(reader.try_pop(message, view) == Reception::kDone);
      CHECK(view.position == i);
      CHECK(view.redelivered == (i < 3));
      CHECK(has_pattern(message, i));
    }
    CHECK(pop(reader) == Reception::kBlocked);
  }
}

TEST_CASE("broadcast: a reader that died joining never was a member") {
  for (const BroadcastPolicy policy : kAllPolicies) {
    BroadcastMemory memory(shape(policy));
    BroadcastWriter writer = memory.writer();
    memory.reader_pages[0]->joined.store(1);
    push(writer, 8);
    CHECK((push_pattern(writer) == Transfer::kBlocked) == (policy == kBlock));
    BroadcastReader reader = memory.reader(0);
    CHECK_FALSE(reader.is_member());
    push(writer, 8);
    REQUIRE(reader.join(kNewest).ok());
    CHECK(pop(reader) == Reception::kBlocked);
  }
}

TEST_CASE("broadcast: a dead reader that is dropped holds up nobody; its successor is told") {
  BroadcastMemory memory(shape(kBlock));
  BroadcastWriter writer = memory.writer();
  static_cast<void>(memory.member(1, kNewest));
  push(writer, 8);
  CHECK(push_pattern(writer) == Transfer::kBlocked);
  writer.drop_reader(1);
  CHECK(writer.has_space());
  push(writer, 10);
  BroadcastReader reader = memory.reader(1);
  CHECK(pop(reader) == Reception::kEvicted);
  REQUIRE(reader.join(kOldest).ok());
  take(reader, 10, 10);
  push(writer, 6);
  CHECK(push_pattern(writer) == Transfer::kBlocked);  // it counts again
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

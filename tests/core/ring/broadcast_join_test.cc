// Readers of a broadcast ring that come, go, die, and are succeeded.

#include <doctest/doctest.h>

#include <vector>

#include "core/ring/broadcast_ring.h"
#include "tests/core/ring/broadcast_ends.h"
#include "tests/core/ring/broadcast_memory.h"

namespace slipring {
namespace {

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

}  // namespace
}  // namespace slipring

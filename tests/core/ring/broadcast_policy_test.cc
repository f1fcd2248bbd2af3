// What a broadcast ring does with readers that do not keep up.

#include <doctest/doctest.h>

#include <vector>

#include "core/ring/broadcast_ring.h"
#include "tests/core/error/dies.h"
#include "tests/core/ring/broadcast_ends.h"
#include "tests/core/ring/broadcast_memory.h"

namespace slipring {
namespace {

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

}  // namespace
}  // namespace slipring

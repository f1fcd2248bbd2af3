#include "core/pool/buffer_pool.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <random>
#include <set>
#include <vector>

#include "tests/core/error/dies.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring {
namespace {

struct PoolMemory {
  explicit PoolMemory(std::uint32_t buffer_count, std::uint64_t buffer_bytes = 64)
      : geometry{buffer_count, 0, buffer_bytes},
        lent(buffer_count * std::uint64_t{8}),
        returned(buffer_count * std::uint64_t{8}),
        buffers(buffer_count * buffer_bytes) {}

  [[nodiscard]] Result<PoolOwner> try_owner() {
    return PoolOwner::attach(&lent.word(0), &returned.word(0), buffers.data(), geometry);
  }
  [[nodiscard]] PoolOwner owner() { return try_owner().value(); }
  [[nodiscard]] PoolReader reader() {
    return PoolReader::attach(&returned.word(0), &lent.word(0), buffers.data(), geometry).value();
  }

  PoolGeometry geometry;
  ExactBytes lent;
  ExactBytes returned;
  ExactBytes buffers;
};

// Acquires, lends and stops using one buffer, as a stage does with a finished frame.
BufferHandle send(PoolOwner& owner) {
  std::uint32_t slot = 0;
  REQUIRE(owner.try_acquire(slot) == Transfer::kDone);
  const BufferHandle handle = owner.lend(slot);
  owner.drop(slot);
  return handle;
}

TEST_CASE("buffer_pool: a geometry out of range is refused with the offending value") {
  CHECK(pool_validate({1, 0, 64}).ok());
  CHECK(pool_validate({kMaxPoolBuffers, 0, (std::uint64_t{1} << 40) - 64}).ok());
  CHECK_FALSE(pool_validate({0, 0, 64}).ok());
  CHECK_FALSE(pool_validate({kMaxPoolBuffers + 1, 0, 64}).ok());
  CHECK_FALSE(pool_validate({1, 0, 0}).ok());
  CHECK_FALSE(pool_validate({1, 0, 96}).ok());
  CHECK_FALSE(pool_validate({1, 0, std::uint64_t{1} << 40}).ok());
  CHECK(pool_validate({7, 0, 65}).error().found == 65);
}

TEST_CASE("buffer_pool: buffers do not overlap, and reader and owner see the same bytes") {
  PoolMemory memory(5, 128);
  PoolOwner owner = memory.owner();
  PoolReader reader = memory.reader();
  std::vector<BufferHandle> handles;
  for (std::uint32_t i = 0; i < 5; ++i) {
    std::uint32_t slot = 0;
    REQUIRE(owner.try_acquire(slot) == Transfer::kDone);
    REQUIRE(owner.bytes(slot).size() == 128);
    REQUIRE(memory.buffers.contains(owner.bytes(slot)));
    write_pattern(owner.bytes(slot), i);
    handles.push_back(owner.lend(slot));
  }
  for (std::uint32_t i = 0; i < 5; ++i) {
    CHECK(reader.holds(handles[i]));
    CHECK(has_pattern(reader.bytes(handles[i]), i));
  }
}

TEST_CASE("buffer_pool: an exhausted pool answers kBlocked until a buffer comes back") {
  PoolMemory memory(3);
  PoolOwner owner = memory.owner();
  PoolReader reader = memory.reader();
  const std::array<BufferHandle, 3> handles{send(owner), send(owner), send(owner)};
  std::uint32_t slot = 99;
  CHECK(owner.try_acquire(slot) == Transfer::kBlocked);
  CHECK(slot == 99);
  CHECK(owner.lent_count() == 3);
  CHECK(reader.give_back(handles[1]));
  CHECK(owner.lent_count() == 2);
  REQUIRE(owner.try_acquire(slot) == Transfer::kDone);
  CHECK(slot == handles[1].slot);
  CHECK(owner.try_acquire(slot) == Transfer::kBlocked);
}

TEST_CASE("buffer_pool: a buffer is free only when neither side uses it") {
  PoolMemory memory(1);
  PoolOwner owner = memory.owner();
  PoolReader reader = memory.reader();
  std::uint32_t slot = 0;
  REQUIRE(owner.try_acquire(slot) == Transfer::kDone);
  const BufferHandle handle = owner.lend(slot);
  std::uint32_t other = 0;
  CHECK(owner.is_lent(slot));
  CHECK(reader.give_back(handle));
  CHECK_FALSE(owner.is_lent(slot));
  // The owner still reads it, as a decoder reads its reference frames.
  CHECK(owner.try_acquire(other) == Transfer::kBlocked);
  owner.drop(slot);
  CHECK(owner.try_acquire(other) == Transfer::kDone);
}

TEST_CASE("buffer_pool: a handle holds from its lending to its return, once") {
  PoolMemory memory(2);
  PoolOwner owner = memory.owner();
  PoolReader reader = memory.reader();
  const BufferHandle first = send(owner);
  CHECK(first.generation == 1);
  CHECK(reader.holds(first));
  CHECK(reader.give_back(first));
  CHECK_FALSE(reader.holds(first));
  CHECK_FALSE(reader.give_back(first));
  CHECK(memory.returned.word(first.slot * 8U).load(std::memory_order_relaxed) == 1);
  const BufferHandle second = send(owner);
  const BufferHandle other = send(owner);
  CHECK(second.slot == first.slot);
  CHECK(second.generation == 2);
  CHECK_FALSE(reader.holds(first));
  CHECK(reader.holds(second));
  CHECK(reader.holds(other));
}

TEST_CASE("buffer_pool: generations go on past 32 bits") {
  PoolMemory memory(1);
  memory.lent.word(0).store(UINT32_MAX, std::memory_order_relaxed);
  memory.returned.word(0).store(UINT32_MAX, std::memory_order_relaxed);
  PoolOwner owner = memory.owner();
  PoolReader reader = memory.reader();
  const BufferHandle handle = send(owner);
  CHECK(handle.generation == 0);
  CHECK(reader.holds(handle));
  CHECK(owner.is_current(handle));
  CHECK(reader.give_back(handle));
  CHECK(send(owner).generation == 1);
}

TEST_CASE("buffer_pool: forged handles are not held and change nothing") {
  PoolMemory memory(4);
  PoolOwner owner = memory.owner();
  PoolReader reader = memory.reader();
  const BufferHandle real = send(owner);
  std::uint64_t refused_count = 0;
  for (const std::uint32_t slot : {0U, 1U, 3U, 4U, 5U, 1024U, 0x8000'0000U, UINT32_MAX}) {
    for (const std::uint32_t generation : {0U, 1U, 2U, 0x8000'0000U, UINT32_MAX}) {
      const BufferHandle forged{slot, generation};
      if (slot == real.slot && generation == real.generation) continue;
      CHECK_FALSE(reader.holds(forged));
      CHECK_FALSE(reader.give_back(forged));
      CHECK_FALSE(owner.is_current({4, 0}));
      ++refused_count;
    }
  }
  CHECK(refused_count == 39);
  CHECK_FALSE(reader.holds(kNullHandle));
  CHECK(reader.holds(real));
  for (std::uint64_t slot = 0; slot < 4; ++slot) {
    CHECK(memory.returned.word(slot * 8).load(std::memory_order_relaxed) == 0);
  }
  CHECK(dies([&] { static_cast<void>(reader.bytes({4, 0})); }));
  CHECK(dies([&] { static_cast<void>(owner.bytes(4)); }));
  CHECK(dies([&] { static_cast<void>(owner.is_lent(4)); }));
}

TEST_CASE("buffer_pool: the owner's own mistakes stop it, the reader's do not") {
  PoolMemory memory(2);
  PoolOwner owner = memory.owner();
  CHECK(dies([&] { static_cast<void>(owner.lend(0)); }));
  CHECK(dies([&] { owner.drop(0); }));
  std::uint32_t slot = 0;
  REQUIRE(owner.try_acquire(slot) == Transfer::kDone);
  // A reader that claims to hold a buffer which was never lent, between acquire and lend.
  memory.returned.word(slot * 8U).store(UINT64_MAX, std::memory_order_relaxed);
  CHECK(owner.lend(slot).slot == kNullHandle.slot);
  memory.returned.word(slot * 8U).store(0, std::memory_order_relaxed);
  CHECK(owner.lend(slot).slot == slot);
  CHECK(owner.lend(slot).slot == kNullHandle.slot);
}

TEST_CASE("buffer_pool: an impossible table is kCorruptPeer, at attach and later") {
  for (const std::uint64_t value : {std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{1} << 32,
                                    std::uint64_t{1} << 63, UINT64_MAX - 1}) {
    CAPTURE(value);
    PoolMemory memory(2);
    PoolOwner owner = memory.owner();
    memory.returned.word(8).store(value, std::memory_order_relaxed);
    const Result<PoolOwner> late = memory.try_owner();
    REQUIRE_FALSE(late.ok());
    CHECK(late.error().code == ErrorCode::kCorruptPeer);
    CHECK(late.error().found == 1);
    std::uint32_t slot = 0;
    CHECK(owner.try_acquire(slot) == Transfer::kDone);
    CHECK(slot == 0);
    CHECK(owner.try_acquire(slot) == Transfer::kCorruptPeer);
    CHECK(owner.recover({}) == 0);
  }
  // A reader that meets an impossible table of the owner's holds nothing.
  PoolMemory memory(1);
  PoolReader reader = memory.reader();
  for (const std::uint64_t value : {std::uint64_t{2}, UINT64_MAX, std::uint64_t{1} << 32}) {
    memory.lent.word(0).store(value, std::memory_order_relaxed);
    CHECK_FALSE(reader.holds({0, static_cast<std::uint32_t>(value)}));
  }
}

TEST_CASE("buffer_pool: a dead owner's uses end, and what it never sent comes back") {
  PoolMemory memory(4);
  PoolReader reader = memory.reader();
  BufferHandle sent_and_unread{};
  BufferHandle sent_and_returned{};
  BufferHandle never_sent{};
  {
    PoolOwner owner = memory.owner();
    sent_and_unread = send(owner);
    sent_and_returned = send(owner);
    std::uint32_t slot = 0;
    REQUIRE(owner.try_acquire(slot) == Transfer::kDone);
    never_sent = owner.lend(slot);
    REQUIRE(owner.try_acquire(slot) == Transfer::kDone);  // in use, never lent
  }
  CHECK(reader.give_back(sent_and_returned));
  PoolOwner successor = memory.owner();
  CHECK(successor.lent_count() == 2);
  const std::array<BufferHandle, 3> in_flight{sent_and_unread, sent_and_returned,
                                              BufferHandle{UINT32_MAX, 7}};
  CHECK(successor.recover(in_flight) == 1);
  CHECK(successor.lent_count() == 1);
  CHECK(successor.recover(in_flight) == 0);
  CHECK(reader.holds(sent_and_unread));
  CHECK_FALSE(reader.holds(never_sent));
  std::uint32_t slot = 0;
  for (int i = 0; i < 3; ++i) {
    REQUIRE(successor.try_acquire(slot) == Transfer::kDone);
    CHECK(slot != sent_and_unread.slot);
  }
  CHECK(successor.try_acquire(slot) == Transfer::kBlocked);
}

TEST_CASE("buffer_pool: what was being filled is had again by its number, with the same handle") {
  PoolMemory memory(3);
  std::uint32_t slot = 0;
  BufferHandle first{};
  {
    PoolOwner dying = memory.owner();
    REQUIRE(dying.try_acquire(slot) == Transfer::kDone);
    first = dying.lend(slot);
    write_pattern(dying.bytes(slot), 7);
  }
  PoolOwner owner = memory.owner();
  CHECK_FALSE(owner.try_acquire_slot(slot));  // lent, for all that anybody knows
  CHECK(owner.recover({}) == 1);
  CHECK(owner.try_acquire_slot(slot));
  CHECK_FALSE(owner.try_acquire_slot(slot));
  CHECK_FALSE(owner.try_acquire_slot(3));
  CHECK(has_pattern(owner.bytes(slot), 7));
  const BufferHandle again = owner.lend(slot);
  CHECK(again.slot == first.slot);
  CHECK(again.generation == first.generation);
  CHECK(memory.reader().holds(again));
}

TEST_CASE("buffer_pool: a handle that was never sent is taken back, and its buffer is free") {
  PoolMemory memory(1);
  PoolOwner owner = memory.owner();
  std::uint32_t slot = 0;
  REQUIRE(owner.try_acquire(slot) == Transfer::kDone);
  const BufferHandle handle = owner.lend(slot);
  owner.withdraw(slot);
  CHECK_FALSE(owner.is_lent(slot));
  CHECK_FALSE(memory.reader().holds(handle));
  owner.drop(slot);
  CHECK(owner.try_acquire(slot) == Transfer::kDone);
}

TEST_CASE("buffer_pool: a dead reader's successor tells returned buffers from unfinished ones") {
  PoolMemory memory(4);
  PoolOwner owner = memory.owner();
  const std::array<BufferHandle, 3> sent{send(owner), send(owner), send(owner)};
  {
    PoolReader reader = memory.reader();
    CHECK(reader.give_back(sent[0]));  // and dead before it released the message
  }
  PoolReader successor = memory.reader();
  CHECK_FALSE(successor.holds(sent[0]));
  CHECK(successor.holds(sent[1]));
  CHECK(successor.holds(sent[2]));
  // The buffer may be lent again before the old message is delivered again.
  const std::array<BufferHandle, 2> again{send(owner), send(owner)};
  CHECK(again[0].slot == sent[0].slot);
  CHECK_FALSE(successor.holds(sent[0]));
  CHECK(successor.holds(again[0]));
}

// How many buffers a load goes through that has `depth` of them out, returned in their order.
std::size_t circulation_of(PoolOwner& owner, PoolReader& reader, std::size_t depth) {
  std::deque<BufferHandle> out;
  std::set<std::uint32_t> seen;
  for (std::size_t i = 0; i < 1'000 + 20 * depth; ++i) {
    if (out.size() == depth) {
      REQUIRE(reader.give_back(out.front()));
      out.pop_front();
    }
    out.push_back(send(owner));
    if (i >= 500) seen.insert(out.back().slot);
  }
  for (const BufferHandle& handle : out) REQUIRE(reader.give_back(handle));
  return seen.size();
}

TEST_CASE("buffer_pool: few buffers circulate in a large pool, also after many did") {
  PoolMemory memory(128);
  PoolOwner owner = memory.owner();
  PoolReader reader = memory.reader();
  for (const std::size_t depth : {1U, 4U, 100U, 16U, 1U}) {
    CAPTURE(depth);
    const std::size_t count = circulation_of(owner, reader, depth);
    CHECK(count >= depth);
    CHECK(count <= depth + depth / 2);
  }
}

TEST_CASE("buffer_pool: what is held for long keeps none of the others") {
  PoolMemory memory(128);
  PoolOwner owner = memory.owner();
  PoolReader reader = memory.reader();
  std::vector<BufferHandle> held;
  for (int i = 0; i < 100; ++i) held.push_back(send(owner));
  CHECK(circulation_of(owner, reader, 4) <= 28);
  for (const BufferHandle& handle : held) CHECK(reader.give_back(handle));
  std::uint32_t slot = 0;
  for (int i = 0; i < 128; ++i) REQUIRE(owner.try_acquire(slot) == Transfer::kDone);
  CHECK(owner.try_acquire(slot) == Transfer::kBlocked);
}

TEST_CASE("buffer_pool: random lending, returning and dying loses no buffer and lends none twice") {
  std::uint64_t lend_count = 0;
  std::uint64_t death_count = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    PoolMemory memory(static_cast<std::uint32_t>(1 + random() % 9));
    PoolOwner owner = memory.owner();
    PoolReader reader = memory.reader();
    std::deque<BufferHandle> ring;      // sent and unfinished, as the ring between them has it
    std::vector<std::uint32_t> in_use;  // by the owner
    std::vector<bool> is_out(memory.geometry.buffer_count, false);
    for (int i = 0; i < 20'000; ++i) {
      std::uint32_t slot = 0;
      switch (random() % 8) {
        case 0:
        case 1:
        case 2:
          if (owner.try_acquire(slot) == Transfer::kDone) {
            REQUIRE_FALSE(is_out[slot]);
            REQUIRE(std::find(in_use.begin(), in_use.end(), slot) == in_use.end());
            in_use.push_back(slot);
          } else {
            REQUIRE(ring.size() + in_use.size() >= is_out.size());
          }
          break;
        case 3:
        case 4:
          if (in_use.empty()) break;
          slot = in_use.back();
          if (is_out[slot]) break;
          ring.push_back(owner.lend(slot));
          REQUIRE(ring.back().slot == slot);
          is_out[slot] = true;
          ++lend_count;
          if (random() % 2 == 0) {
            owner.drop(slot);
            in_use.pop_back();
          }
          break;
        case 5:
        case 6:
          if (ring.empty()) break;
          REQUIRE(reader.holds(ring.front()));
          is_out[ring.front().slot] = false;
          REQUIRE(reader.give_back(ring.front()));
          ring.pop_front();
          break;
        default:
          if (random() % 4 != 0) break;
          ++death_count;
          reader = memory.reader();
          if (!in_use.empty() && !is_out[in_use.back()]) {
            static_cast<void>(owner.lend(in_use.back()));  // and dead before it was sent
          }
          owner = memory.owner();
          in_use.clear();
          const std::vector<BufferHandle> in_flight(ring.begin(), ring.end());
          REQUIRE(owner.recover(in_flight) <= 1);
          REQUIRE(owner.lent_count() == ring.size());
      }
    }
  }
  MESSAGE("lent ", lend_count, ", deaths ", death_count);
  CHECK(lend_count > 10'000);
  CHECK(death_count > 1000);
}

}  // namespace
}  // namespace slipring

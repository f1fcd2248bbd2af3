// The shared pool, one step at a time.

#include "core/pool/shared_pool.h"

#include <doctest/doctest.h>

#include <set>
#include <vector>

#include "core/pool/pool_recovery.h"
#include "tests/core/error/dies.h"
#include "tests/core/pool/shared_pool_memory.h"

namespace slipring {
namespace {

using Blocks = SharedPoolBlocks<StdAtomics>;

// A ring of one place.
struct OnePlace {
  PoolHandle handle{};
  bool is_full = false;
  Transfer push(const PoolHandle& sent) {
    if (is_full) return Transfer::kBlocked;
    handle = sent;
    is_full = true;
    return Transfer::kDone;
  }
};

PoolHandle acquire(SharedPool& pool) {
  PoolHandle handle;
  REQUIRE(pool.try_acquire(handle) == Transfer::kDone);
  return handle;
}

PoolHandle send(SharedPool& pool, const PoolHandle& handle) {
  OnePlace ring;
  REQUIRE(pool.send(handle, 7, [&](const PoolHandle& sent) { return ring.push(sent); }) ==
          Transfer::kDone);
  return ring.handle;
}

TEST_CASE("shared_pool: a geometry beyond its bounds is refused") {
  CHECK_FALSE(shared_pool_validate({0, 1, 64}).ok());
  CHECK_FALSE(shared_pool_validate({kMaxSharedBuffers + 1, 1, 64}).ok());
  CHECK_FALSE(shared_pool_validate({1, 0, 64}).ok());
  CHECK_FALSE(shared_pool_validate({1, kMaxPoolParticipants + 1, 64}).ok());
  CHECK_FALSE(shared_pool_validate({1, 1, 0}).ok());
  CHECK_FALSE(shared_pool_validate({1, 1, 65}).ok());
  CHECK_FALSE(shared_pool_validate({1, 1, std::uint64_t{1} << 40}).ok());
  CHECK(shared_pool_validate({kMaxSharedBuffers, kMaxPoolParticipants, 64}).ok());
  Blocks blocks({4, 2, 64});
  CHECK(blocks.try_attach(2).error().code == ErrorCode::kInvalidArgument);
}

TEST_CASE("shared_pool: one participant gets every buffer, each once, and then is blocked") {
  for (const std::uint32_t count : {1U, 2U, 7U, 64U, 300U}) {
    Blocks blocks({count, 1, 64});
    SharedPool pool = blocks.attach(0);
    std::set<std::uint32_t> slots;
    std::vector<PoolHandle> handles;
    for (std::uint32_t i = 0; i < count; ++i) {
      handles.push_back(acquire(pool));
      slots.insert(handles.back().slot());
      CHECK(blocks.buffers.contains(pool.bytes(handles.back())));
    }
    CHECK(slots.size() == count);
    PoolHandle none;
    CHECK(pool.try_acquire(none) == Transfer::kBlocked);
    for (const PoolHandle& handle : handles) CHECK(pool.give_back(handle));
    CHECK(blocks.census().owned == 0);
    CHECK(sum_of(blocks.census()) == count);
  }
}

TEST_CASE("shared_pool: caches together hold at most half of the buffers") {
  for (const SharedPoolGeometry geometry :
       {SharedPoolGeometry{64, 4, 64}, {1000, 63, 64}, {6, 4, 64}, {4096, 3, 64}}) {
    Blocks blocks(geometry);
    std::vector<SharedPool> pools;
    for (std::uint32_t i = 0; i < geometry.participant_count; ++i) {
      pools.push_back(blocks.attach(i));
      std::vector<PoolHandle> handles;
      PoolHandle handle;
      while (pools[i].try_acquire(handle) == Transfer::kDone) handles.push_back(handle);
      for (const PoolHandle& each : handles) CHECK(pools[i].give_back(each));
      CHECK(pools[i].cached_count() <= pool_cache_capacity(geometry));
    }
    CHECK(blocks.census().cached <= geometry.buffer_count / 2);
    CHECK(blocks.census().free >= geometry.buffer_count / 2);
    for (SharedPool& pool : pools) pool.return_cache();
    CHECK(blocks.census().free == geometry.buffer_count);
  }
}

TEST_CASE("shared_pool: what was freed last is used first") {
  Blocks blocks({64, 1, 64});
  SharedPool pool = blocks.attach(0);
  const PoolHandle first = acquire(pool);
  const PoolHandle second = acquire(pool);
  CHECK(pool.give_back(second));
  CHECK(pool.give_back(first));
  CHECK(acquire(pool).slot() == first.slot());
  CHECK(acquire(pool).slot() == second.slot());
}

TEST_CASE("shared_pool: a buffer moves once for each time that it is sent") {
  Blocks blocks({8, 2, 64});
  SharedPool one = blocks.attach(0);
  SharedPool other = blocks.attach(1);
  const PoolHandle mine = acquire(one);
  one.bytes(mine)[0] = std::byte{42};
  const PoolHandle sent = send(one, mine);
  CHECK(sent.slot() == mine.slot());
  CHECK_FALSE(sent == mine);
  CHECK_FALSE(one.owns(mine));
  CHECK_FALSE(one.give_back(mine));
  CHECK_FALSE(other.give_back(sent));  // not before it is claimed
  CHECK_FALSE(other.claim(mine));
  CHECK(other.claim(sent));
  CHECK(other.bytes(sent)[0] == std::byte{42});
  CHECK_FALSE(other.claim(sent));  // replayed
  CHECK_FALSE(one.claim(sent));
  CHECK_FALSE(one.give_back(sent));  // another's
  CHECK(blocks.census().owned == 1);
  CHECK(other.give_back(sent));
  CHECK_FALSE(other.give_back(sent));  // twice
  CHECK(blocks.census().owned == 0);
}

TEST_CASE("shared_pool: a second give_back does not end the next ownership of the same buffer") {
  Blocks blocks({64, 1, 64});
  SharedPool pool = blocks.attach(0);
  const PoolHandle old = acquire(pool);
  CHECK(pool.give_back(old));
  const PoolHandle again = acquire(pool);
  CHECK(again.slot() == old.slot());
  CHECK_FALSE(pool.give_back(old));
  CHECK_FALSE(pool.owns(old));
  CHECK(pool.owns(again));
  const PoolHandle shared = pool.share(again);
  CHECK(shared.slot() == again.slot());
  CHECK_FALSE(shared == again);
  CHECK_FALSE(pool.hold(again));
  CHECK_FALSE(pool.retire(again));
}

TEST_CASE("shared_pool: a handle that found no room stays with its sender, under its name") {
  Blocks blocks({8, 2, 64});
  SharedPool one = blocks.attach(0);
  const PoolHandle mine = acquire(one);
  for (const Transfer answer : {Transfer::kBlocked, Transfer::kCorruptPeer}) {
    PoolHandle tried;
    const auto refuse = [&](const PoolHandle& sent) {
      tried = sent;
      return answer;
    };
    CHECK(one.send(mine, 0, refuse) == answer);
    CHECK(one.owns(mine));
    CHECK_FALSE(blocks.attach(1).claim(tried));
  }
  CHECK(blocks.parts().record(blocks.geometry, 0).sending.load(std::memory_order_relaxed) == 0);
  SharedPool other = blocks.attach(1);
  CHECK(other.claim(send(one, mine)));
}

TEST_CASE(
    "shared_pool: a guess that came true before publishing is answered, and nothing aliases") {
  Blocks blocks({8, 2, 64});
  SharedPool one = blocks.attach(0);
  SharedPool thief = blocks.attach(1);
  const PoolHandle mine = acquire(one);
  PoolHandle stolen;
  const auto publish = [&](const PoolHandle& sent) {
    stolen = sent;
    CHECK(thief.claim(sent));
    return Transfer::kBlocked;
  };
  CHECK(one.send(mine, 0, publish) == Transfer::kCorruptPeer);
  CHECK_FALSE(one.owns(mine));
  CHECK(thief.owns(stolen));
}

TEST_CASE("shared_pool: stale and forged handles are answered, and change nothing") {
  Blocks blocks({8, 2, 64});
  SharedPool one = blocks.attach(0);
  SharedPool other = blocks.attach(1);
  std::vector<PoolHandle> wrong{{0}, {UINT64_MAX}, {kPoolSlotMask}, {8}, {std::uint64_t{1} << 63}};
  const PoolHandle mine = acquire(one);
  const PoolHandle old_sent = send(one, mine);
  REQUIRE(other.claim(old_sent));
  const PoolHandle old_shared = other.share(old_sent);
  REQUIRE(other.retire(old_shared));
  REQUIRE(other.reclaim() == 1);
  wrong.insert(wrong.end(), {mine, old_sent, old_shared});
  for (std::uint32_t bit = 0; bit < 64; ++bit) {
    wrong.push_back({old_shared.bits ^ std::uint64_t{1} << bit});
  }
  const PoolHandle held = acquire(one);
  const PoolHandle shared = one.share(acquire(one));
  REQUIRE(other.hold(shared));
  const std::vector<std::byte> words(blocks.words.data(),
                                     blocks.words.data() + blocks.words.size_bytes());
  std::uint32_t refused_count = 0;
  for (const PoolHandle& handle : wrong) {
    for (SharedPool* pool : {&one, &other}) {
      if (handle == held || handle == shared || handle == one.expand(0)) continue;
      if (handle.slot() < 8 && handle.slot() == shared.slot()) continue;
      CHECK_FALSE(pool->claim(handle));
      CHECK_FALSE(pool->give_back(handle));
      CHECK(pool->share(handle).is_null());
      CHECK_FALSE(pool->hold(handle));
      CHECK_FALSE(pool->let_go(handle));
      CHECK_FALSE(pool->retire(handle));
      CHECK(pool->send(handle, 0, [](const PoolHandle&) { return Transfer::kDone; }) ==
            Transfer::kCorruptPeer);
      refused_count += 7;
    }
  }
  MESSAGE(refused_count, " refusals");
  CHECK(refused_count > 500);
  CHECK(std::equal(words.begin(), words.end(), blocks.words.data()));
  CHECK(one.owns(held));
}

TEST_CASE("shared_pool: a shared buffer is freed when the last reader has let go, and not before") {
  Blocks blocks({8, 4, 64});
  SharedPool writer = blocks.attach(0);
  SharedPool readers[] = {blocks.attach(1), blocks.attach(2), blocks.attach(3)};
  const PoolHandle shared = writer.share(acquire(writer));
  CHECK_FALSE(readers[0].claim(shared));
  CHECK_FALSE(writer.give_back(shared));
  for (SharedPool& reader : readers) {
    CHECK(reader.hold(shared));
    CHECK_FALSE(reader.hold(shared));  // one mark is one hold
  }
  CHECK(writer.retire(shared));
  CHECK_FALSE(writer.retire(shared));
  CHECK_FALSE(readers[0].retire(shared));
  for (SharedPool& reader : readers) {
    CHECK(writer.reclaim() == 0);
    CHECK(blocks.census().retired == 1);
    CHECK(reader.let_go(shared));
    CHECK_FALSE(reader.let_go(shared));
    CHECK_FALSE(reader.hold(shared));  // too late
  }
  CHECK(writer.reclaim() == 1);
  CHECK(blocks.census().retired == 0);
  CHECK(sum_of(blocks.census()) == 8);
}

TEST_CASE("shared_pool: retired buffers beyond the list are found again by their words") {
  constexpr std::uint32_t kCount = 400;
  Blocks blocks({kCount, 2, 64});
  SharedPool writer = blocks.attach(0);
  SharedPool reader = blocks.attach(1);
  std::vector<PoolHandle> shared;
  for (std::uint32_t i = 0; i < kCount; ++i) {
    shared.push_back(writer.share(acquire(writer)));
    REQUIRE(reader.hold(shared.back()));
  }
  for (const PoolHandle& handle : shared) REQUIRE(writer.retire(handle));
  CHECK(blocks.census().retired == kCount);
  PoolHandle none;
  CHECK(writer.try_acquire(none) == Transfer::kBlocked);
  for (const PoolHandle& handle : shared) REQUIRE(reader.let_go(handle));
  std::set<std::uint32_t> slots;
  for (std::uint32_t i = 0; i < kCount; ++i) slots.insert(acquire(writer).slot());
  CHECK(slots.size() == kCount);
  CHECK(blocks.census().owned == kCount);
}

TEST_CASE("shared_pool: a second let_go does not end the next hold on the same buffer") {
  Blocks blocks({1, 2, 64});
  SharedPool writer = blocks.attach(0);
  SharedPool reader = blocks.attach(1);
  const PoolHandle old = writer.share(acquire(writer));
  REQUIRE(reader.hold(old));
  REQUIRE(reader.let_go(old));
  REQUIRE(writer.retire(old));
  REQUIRE(writer.reclaim() == 1);
  const PoolHandle shared = writer.share(acquire(writer));
  REQUIRE(shared.slot() == old.slot());
  REQUIRE(reader.hold(shared));
  CHECK_FALSE(reader.let_go(old));
  CHECK_FALSE(reader.hold(old));
  REQUIRE(writer.retire(shared));
  CHECK(writer.reclaim() == 0);
  CHECK(reader.let_go(shared));
  CHECK(writer.reclaim() == 1);
}

TEST_CASE("shared_pool: readers' marks delay nobody who does not share") {
  Blocks blocks({4, 2, 64});
  SharedPool writer = blocks.attach(0);
  SharedPool reader = blocks.attach(1);
  // A reader with a stale handle marks for a moment; the mark it leaves is none.
  const PoolHandle stale = writer.share(acquire(writer));
  REQUIRE(writer.retire(stale));
  REQUIRE(writer.reclaim() == 1);
  CHECK_FALSE(reader.hold(stale));
  CHECK(blocks.parts().marks(blocks.geometry, 1)->load(std::memory_order_relaxed) == 0);
}

TEST_CASE("shared_pool: the 32-bit form means the same buffer, or nothing") {
  for (const std::uint32_t count : {1U, 2U, 3U, 1024U, 1025U}) {
    Blocks blocks({count, 2, 64});
    SharedPool one = blocks.attach(0);
    SharedPool other = blocks.attach(1);
    for (std::uint32_t i = 0; i < 50; ++i) {
      const PoolHandle mine = acquire(one);
      const PoolHandle sent = send(one, mine);
      const std::uint32_t compact = compact_handle(blocks.geometry, sent);
      CHECK(other.expand(compact) == sent);
      CHECK(other.expand(compact_handle(blocks.geometry, mine)).is_null());
      CHECK(other.claim(other.expand(compact)));
      CHECK(other.expand(compact).is_null());
      CHECK(other.give_back(sent));
    }
  }
  CHECK(compact_slot_bits({1024, 1, 64}) == 10);
  CHECK(compact_slot_bits({1025, 1, 64}) == 11);
  CHECK(compact_slot_bits({kMaxSharedBuffers, 1, 64}) == 20);
  Blocks blocks({5, 1, 64});
  CHECK(blocks.attach(0).expand(7).is_null());  // a slot beyond the pool
}

TEST_CASE("shared_pool: generations wrap, and 0 is left out") {
  Blocks blocks({1, 2, 64});
  blocks.raw_word(0).store(~kPoolSlotMask - 2 * (kPoolSlotMask + 1), std::memory_order_relaxed);
  SharedPool one = blocks.attach(0);
  std::set<std::uint64_t> seen;
  for (std::uint32_t i = 0; i < 4; ++i) {
    const PoolHandle mine = acquire(one);
    const PoolHandle sent = send(one, mine);
    CHECK(mine.generation() != 0);
    CHECK(sent.generation() != 0);
    CHECK(seen.insert(mine.generation()).second);
    CHECK(seen.insert(sent.generation()).second);
    CHECK(one.claim(sent));
    CHECK(one.give_back(sent));
  }
}

// A free list whose retry kept the counter that it had loaded first could free a buffer twice
// (iceoryx issue 2351).  Here the loser of a race goes on, and every name is made from the word
// that the exchange has just confirmed.
TEST_CASE("shared_pool: iceoryx #2351: a lost race for a free buffer renews no stale generation") {
  SharedPoolBlocks<WatchedAtomics> blocks({4, 2, 64});
  std::uint32_t lost_count = 0;
  for (std::uint64_t at = 0;; ++at) {
    BasicSharedPool<WatchedAtomics> one = blocks.attach(0);
    BasicSharedPool<WatchedAtomics> other = blocks.attach(1);
    // While the first looks for a buffer, the second takes and frees them over and over.
    std::vector<PoolHandle> others;
    const auto interfere = [&] {
      for (std::uint32_t i = 0; i < 9; ++i) {
        PoolHandle handle;
        REQUIRE(other.try_acquire(handle) == Transfer::kDone);
        REQUIRE(other.give_back(handle));
      }
      PoolHandle handle;
      REQUIRE(other.try_acquire(handle) == Transfer::kDone);
      others.push_back(handle);
    };
    access_watch.arm(at, interfere);
    PoolHandle mine;
    REQUIRE(one.try_acquire(mine) == Transfer::kDone);
    const bool was_reached = access_watch.disarm();
    if (!was_reached) break;
    ++lost_count;
    REQUIRE(others.size() == 1);
    CHECK(others[0].slot() != mine.slot());
    CHECK(one.owns(mine));
    CHECK(other.owns(others[0]));
    CHECK(one.give_back(mine));
    CHECK(other.give_back(others[0]));
    CHECK_FALSE(one.give_back(mine));
    one.return_cache();
    other.return_cache();
    CHECK(blocks.census().free == 4);
  }
  MESSAGE(lost_count, " places to interfere");
  CHECK(lost_count >= 4);
}

TEST_CASE("shared_pool: scribbled words are answered, and lead nowhere outside") {
  Blocks blocks({16, 2, 64});
  SharedPool one = blocks.attach(0);
  const PoolHandle mine = acquire(one);
  std::uint32_t corrupt_count = 0;
  for (std::uint64_t value = 0; value < 4096; ++value) {
    for (std::uint32_t slot = 0; slot < 16; ++slot) {
      blocks.raw_word(slot).store(value << kPoolSlotBits | value, std::memory_order_relaxed);
    }
    PoolHandle handle;
    const Transfer answer = one.try_acquire(handle);
    if (answer == Transfer::kDone) {
      CHECK(blocks.buffers.contains(one.bytes(handle)));
    }
    corrupt_count += answer == Transfer::kCorruptPeer ? 1U : 0U;
    CHECK_FALSE(one.claim({value}));
    one.give_back(mine);
    one.reclaim();
    const PoolCensus census = blocks.census();
    CHECK(sum_of(census) + census.impossible == 16);
    const auto recovered = recover_participant(blocks.parts(), blocks.geometry, 1, kNothingCarried);
    CHECK(recovered.ok());
  }
  CHECK(corrupt_count > 0);
}

TEST_CASE("shared_pool: bytes of a buffer beyond the pool are our own mistake") {
  Blocks blocks({4, 1, 64});
  SharedPool pool = blocks.attach(0);
  CHECK(dies([&] { (void)pool.bytes({4}); }));
}

TEST_CASE("shared_pool: the largest pool hands out its last buffer") {
  Blocks blocks({kMaxSharedBuffers, 2, 64});
  SharedPool one = blocks.attach(0);
  SharedPool other = blocks.attach(1);
  PoolHandle handle;
  std::uint32_t count = 0;
  while (one.try_acquire(handle) == Transfer::kDone) ++count;
  CHECK(count == kMaxSharedBuffers);
  CHECK(other.try_acquire(handle) == Transfer::kBlocked);
  Result<PoolRecovery> recovered =
      recover_participant(blocks.parts(), blocks.geometry, 0, kNothingCarried);
  CHECK(recovered->freed_count == kMaxSharedBuffers);
  CHECK(other.try_acquire(handle) == Transfer::kDone);
}

}  // namespace
}  // namespace slipring

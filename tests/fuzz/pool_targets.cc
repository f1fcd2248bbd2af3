// The ends of both kinds of buffer pool, and the recovery of a dead participant's buffers.
#include <array>
#include <optional>

#include "core/pool/buffer_pool.h"
#include "core/pool/pool_recovery.h"
#include "core/pool/shared_pool.h"
#include "tests/fuzz/access_script.h"
#include "tests/fuzz/pair_pages.h"
#include "tests/fuzz/scene_target.h"
#include "tests/fuzz/targets.h"

namespace slipring::fuzz {
namespace {

using Owner = BasicPoolOwner<FuzzAtomics>;
using Reader = BasicPoolReader<FuzzAtomics>;

constexpr std::uint32_t kBufferCount = 4;
constexpr std::uint32_t kBufferBytes = 64;

struct PairMemory {
  GuardedBlock lent{64};  // the tables take 32 bytes of a line
  GuardedBlock returned{64};
  GuardedBlock buffers{kBufferCount * kBufferBytes};
  std::array<GuardedBlock*, 3> all{&lent, &returned, &buffers};
  PoolGeometry geometry{kBufferCount, 0, kBufferBytes};

  // So that a table ends where its block ends.
  [[nodiscard]] static PoolWord* table(const GuardedBlock& block) {
    return &block.as<PoolWord>(64 - kBufferCount * sizeof(PoolWord));
  }
  [[nodiscard]] Result<Owner> owner() const {
    return Owner::attach(table(lent), table(returned), buffers.data(), geometry);
  }
  [[nodiscard]] Result<Reader> reader() const {
    return Reader::attach(table(returned), table(lent), buffers.data(), geometry);
  }
  [[nodiscard]] static BufferHandle forged(FuzzInput& input, std::uint64_t generation) {
    const std::uint8_t way = input.byte();
    const std::uint32_t slot = way < 224 ? way % kBufferCount : input.half() * 0x10001U;
    return {slot, static_cast<std::uint32_t>(generation + (way / 4 % 8) - 3)};
  }
};

// The owner; the reader's table is hostile.
class OwnerWorld {
 public:
  static constexpr std::size_t kSceneCount = 4;
  static constexpr std::uint64_t kMostAccesses = kFewAccesses;
  static constexpr bool kStoresWithin = true;
  struct Ends {
    std::optional<Owner> end;
    std::array<bool, kBufferCount> is_used{};
  };
  Ends ends;

  [[nodiscard]] std::span<GuardedBlock* const> blocks() const { return memory_.all; }
  // Every buffer has been lent and given back `scene` times; two are lent, one of them in use.
  void build(std::size_t scene) {
    ends.end.emplace(memory_.owner().value());
    ends.is_used = {};
    Reader reader = memory_.reader().value();
    std::uint32_t slot = 0;
    for (std::size_t i = 0; i < scene * kBufferCount + 2; ++i) {
      check(ends.end->try_acquire(slot) == Transfer::kDone, "a scene that does not come about");
      const BufferHandle handle = ends.end->lend(slot);
      if (i + 2 < scene * kBufferCount + 2) check(reader.give_back(handle), "a lent buffer");
      if (i + 1 < scene * kBufferCount + 2) ends.end->drop(slot);
    }
    ends.is_used[slot] = true;
  }
  [[nodiscard]] Store choose(FuzzInput& input) {
    const std::uint32_t slot = input.byte() % kBufferCount;
    return PairPages::aim(PairMemory::table(memory_.returned)[slot], input,
                          PairPages::peek(PairMemory::table(memory_.lent)[slot]), 1);
  }
  void call(FuzzInput& input, Tally& tally) {
    Owner& end = *ends.end;
    const std::uint8_t which = input.byte();
    const std::uint32_t slot = which / 8 % kBufferCount;
    switch (which % 8) {
      case 0:
      case 1:
      case 2: {
        std::uint32_t taken = 0;
        const Transfer answer = end.try_acquire(taken);
        tally.count(answer);
        if (answer != Transfer::kDone) return;
        tally.expect(taken < kBufferCount, "a buffer beyond the pool");
        if (tally.broken != nullptr) return;
        tally.expect(!ends.is_used[taken], "a buffer in use was handed out");
        ends.is_used[taken] = true;
        tally.expect(memory_.buffers.contains(end.bytes(taken)), "bytes outside the pool");
        for (std::byte& byte : end.bytes(taken)) byte = std::byte{which};
        return;
      }
      case 3:
      case 4: {
        if (!ends.is_used[slot]) return;
        const std::uint64_t before = PairPages::peek(PairMemory::table(memory_.lent)[slot]);
        const BufferHandle handle = end.lend(slot);
        if (handle.slot == kNullHandle.slot) return tally.count(Answer::kRefused);
        tally.expect(
            handle.slot == slot && handle.generation == static_cast<std::uint32_t>(before + 1),
            "a buffer lent under an old name");
        return tally.count(Answer::kDone);
      }
      case 5:
        if (ends.is_used[slot]) end.drop(slot);
        ends.is_used[slot] = false;
        return;
      case 6: {
        const BufferHandle handle =
            PairMemory::forged(input, PairPages::peek(PairMemory::table(memory_.lent)[slot]));
        tally.expect(end.recover({&handle, 1}) <= kBufferCount, "more recovered than there are");
        return tally.count(Answer::kAsked);
      }
      default: {
        const BufferHandle handle = PairMemory::forged(input, 1);
        static_cast<void>(end.is_current(handle) || end.is_lent(slot));
        tally.expect(end.lent_count() <= kBufferCount, "more lent than there are");
        return tally.count(Answer::kAsked);
      }
    }
  }
  void check_successor(Tally& tally) {
    for (std::uint32_t slot = 0; slot < kBufferCount; ++slot) {
      PairPages::poke(PairMemory::table(memory_.returned)[slot],
                      PairPages::peek(PairMemory::table(memory_.lent)[slot]));
    }
    tally.expect(memory_.owner().ok(), "the owner's successor cannot go on");
  }

 private:
  PairMemory memory_;
};

// The reader; the owner's table is hostile, and so are the handles.
class ReaderWorld {
 public:
  static constexpr std::size_t kSceneCount = 4;
  static constexpr std::uint64_t kMostAccesses = kFewAccesses;
  static constexpr bool kStoresWithin = false;
  struct Ends {
    std::optional<Reader> end;
  };
  Ends ends;

  [[nodiscard]] std::span<GuardedBlock* const> blocks() const { return memory_.all; }
  void build(std::size_t scene) {
    Owner owner = memory_.owner().value();
    ends.end.emplace(memory_.reader().value());
    std::uint32_t slot = 0;
    for (std::size_t i = 0; i < scene * kBufferCount + 2; ++i) {
      check(owner.try_acquire(slot) == Transfer::kDone, "a scene that does not come about");
      const BufferHandle handle = owner.lend(slot);
      if (i < scene * kBufferCount) check(ends.end->give_back(handle), "a lent buffer");
      owner.drop(slot);
    }
  }
  [[nodiscard]] Store choose(FuzzInput& input) {
    const std::uint8_t which = input.byte();
    const std::uint32_t slot = which % kBufferCount;
    return PairPages::aim(PairMemory::table(memory_.lent)[slot], input,
                          PairPages::peek(PairMemory::table(memory_.returned)[slot]) + 1, 1);
  }
  void call(FuzzInput& input, Tally& tally) {
    Reader& end = *ends.end;
    const std::uint8_t which = input.byte();
    const PoolWord* lent = PairMemory::table(memory_.lent);
    PoolWord* returned = PairMemory::table(memory_.returned);
    const BufferHandle handle =
        PairMemory::forged(input, PairPages::peek(lent[which / 4 % kBufferCount]));
    if (!end.holds(handle)) {
      tally.expect(!end.give_back(handle), "what is not held was given back");
      return tally.count(Answer::kRefused);
    }
    tally.count(Answer::kDone);
    tally.expect(handle.slot < kBufferCount, "a buffer beyond the pool is held");
    if (tally.broken != nullptr) return;
    tally.expect(memory_.buffers.contains(end.bytes(handle)), "bytes outside the pool");
    tally.look_at(end.bytes(handle));
    if (which % 2 == 0) return;
    const std::uint64_t before = PairPages::peek(returned[handle.slot]);
    tally.expect(end.give_back(handle), "what is held was not given back");
    tally.expect(PairPages::peek(returned[handle.slot]) == before + 1, "given back twice");
    tally.expect(!end.holds(handle) && !end.give_back(handle), "a buffer is given back twice");
  }
  void check_successor(Tally& tally) {
    tally.expect(memory_.reader().ok(), "the reader's successor cannot go on");
  }

 private:
  PairMemory memory_;
};

// Two honest participants, and a third that writes every word and its own page.  What it has not
// scribbled over is nobody's but one's.
class SharedWorld {
 public:
  static constexpr std::size_t kSceneCount = 4;
  static constexpr std::uint64_t kMostAccesses = kFewAccesses;
  static constexpr bool kStoresWithin = true;
  static constexpr SharedPoolGeometry kGeometry{8, 3, 64};
  static constexpr std::uint32_t kHostile = 2;
  static constexpr std::size_t kKnown = 16;
  // No operation looks at more than twice the whole table; a recovery also at marks and records.

  using Pool = BasicSharedPool<FuzzAtomics>;
  struct Ends {
    std::array<std::optional<Pool>, 2> ends;
    std::array<PoolHandle, kKnown> known{};  // every handle seen, also stale ones
    std::size_t known_count = 0;
    std::array<std::uint8_t, 8> owner{};  // 0: nobody; 1, 2: an honest end has it in hand
    std::uint32_t scribbled = 0;          // buffers whose words the hostile one has written
  };
  Ends ends;

  [[nodiscard]] std::span<GuardedBlock* const> blocks() const { return all_; }
  void build(std::size_t scene) {
    ends = {};
    for (std::uint32_t i = 0; i < 2; ++i) {
      ends.ends[i].emplace(Pool::attach(memory(), kGeometry, i).value());
    }
    Pool hostile = Pool::attach(memory(), kGeometry, kHostile).value();
    PoolHandle handle;
    for (std::size_t i = 0; i <= scene; ++i) {
      check(ends.ends[i % 2]->try_acquire(handle) == Transfer::kDone, "a free buffer");
      note(handle);
      if (i == 1) {
        note(ends.ends[1]->share(handle));
      } else if (i == 2) {
        check(ends.ends[0]->send(handle, 1,
                                 [&](PoolHandle sent) {
                                   note(sent);
                                   return Transfer::kDone;
                                 }) == Transfer::kDone,
              "a buffer sent");
      } else {
        ends.owner[handle.slot()] = static_cast<std::uint8_t>(i % 2 + 1);
      }
    }
    check(hostile.try_acquire(handle) == Transfer::kDone, "a free buffer");
    note(handle);
    if (scene >= 1) check(hostile.hold(ends.known[2]), "a shared buffer");
  }
  [[nodiscard]] Store choose(FuzzInput& input) {
    const std::uint8_t which = input.byte();
    std::atomic<std::uint64_t>& word = word_of(which);
    return {&word, value(input, PairPages::peek(word))};
  }
  void call(FuzzInput& input, Tally& tally) {
    const std::uint8_t which = input.byte();
    do_call(which % 2, which / 2 % 16, handle_of(input), tally);
  }
  void check_successor(Tally& tally) {
    const auto kept = [](const PoolDoubt&) { return false; };
    for (std::uint32_t i = 0; i < 2; ++i) {
      tally.expect(recover_participant<FuzzAtomics>(memory(), kGeometry, i, kept).ok(),
                   "no recovery");
      tally.expect(Pool::attach(memory(), kGeometry, i).ok(), "a successor cannot go on");
    }
  }

 private:
  [[nodiscard]] PoolMemory memory() const {
    return {&words_.as<SharedPoolWord>(), pages_.data(), buffers_.data()};
  }
  void note(PoolHandle handle) { ends.known[ends.known_count++ % kKnown] = handle; }

  [[nodiscard]] std::atomic<std::uint64_t>& word_of(std::uint8_t which) {
    const std::size_t page = kHostile * pool_page_bytes(kGeometry);
    switch (which / 32) {
      case 0:
        return pages_.as<std::atomic<std::uint64_t>>(page + (which % 2) * 8);
      case 1:
        return pages_.as<std::atomic<std::uint64_t>>(page + kAbiLineBytes);
      default:
        ends.scribbled |= 1U << which % 8;
        return words_.as<std::atomic<std::uint64_t>>(which % 8 * 8);
    }
  }
  // Any state, any owner, a generation near what is there; or anything.
  [[nodiscard]] std::uint64_t value(FuzzInput& input, std::uint64_t now) const {
    const std::uint8_t way = input.byte();
    if (way % 8 == 0) return hostile_value(input, {now, now, 1U << kPoolSlotBits});
    if (way % 8 == 1) return ends.known[way / 8 % kKnown].bits;
    const std::uint32_t operand = input.half();
    const std::uint64_t generation =
        (now & ~kPoolSlotMask) + (std::uint64_t{way} / 8 % 4 << kPoolSlotBits);
    return generation | (operand % 8) << 8 | (operand / 8 % 5);
  }
  [[nodiscard]] PoolHandle handle_of(FuzzInput& input) const {
    const std::uint8_t way = input.byte();
    const PoolHandle known = ends.known[way % kKnown];
    if (way < 160) return known;
    const std::uint64_t word = PairPages::peek(words_.word(way % 8));
    if (way < 208) return {(word & ~kPoolSlotMask) | way % 8};
    return {hostile_value(input, {known.bits, known.bits, 1U << kPoolSlotBits})};
  }

  void own(std::size_t who, PoolHandle handle, Tally& tally) {
    tally.expect(handle.slot() < kGeometry.buffer_count, "a buffer beyond the pool");
    if (tally.broken != nullptr) return;
    const bool is_doubtful = (ends.scribbled >> handle.slot() & 1) != 0;
    tally.expect(ends.owner[handle.slot()] == 0 || is_doubtful, "a buffer was handed out twice");
    ends.owner[handle.slot()] = static_cast<std::uint8_t>(who + 1);
    note(handle);
    tally.expect(buffers_.contains(ends.ends[who]->bytes(handle)), "bytes outside the pool");
    for (std::byte& byte : ends.ends[who]->bytes(handle)) byte = std::byte{1};
  }
  void disown(PoolHandle handle, bool is_done, Tally& tally) {
    tally.count(is_done ? Answer::kDone : Answer::kRefused);
    if (is_done) ends.owner[handle.slot()] = 0;
  }

  void do_call(std::size_t who, std::uint8_t which, PoolHandle handle, Tally& tally) {
    Pool& end = *ends.ends[who];
    switch (which) {
      case 0:
      case 1: {
        PoolHandle taken;
        const Transfer answer = end.try_acquire(taken);
        tally.count(answer);
        if (answer == Transfer::kDone) own(who, taken, tally);
        return;
      }
      case 2:
      case 3:
        return disown(handle, end.give_back(handle), tally);
      case 4:
      case 5: {
        const Transfer published = who == 0 ? Transfer::kDone : Transfer::kBlocked;
        const bool was_ours = end.owns(handle);
        const Transfer answer = end.send(handle, 7, [&](PoolHandle sent) {
          note(sent);
          return published;
        });
        tally.count(answer);
        if (answer == Transfer::kDone && was_ours) ends.owner[handle.slot()] = 0;
        return;
      }
      case 6:
      case 7: {
        const bool is_done = end.claim(handle);
        tally.count(is_done ? Answer::kDone : Answer::kRefused);
        if (is_done) own(who, handle, tally);
        return;
      }
      case 8: {
        const PoolHandle shared = end.share(handle);
        disown(handle, !shared.is_null(), tally);
        if (!shared.is_null()) note(shared);
        return;
      }
      case 9:
        if (!end.hold(handle)) return tally.count(Answer::kRefused);
        tally.expect(buffers_.contains(end.view(handle)), "bytes outside the pool");
        if (tally.broken == nullptr) tally.look_at(end.view(handle));
        return tally.count(Answer::kDone);
      case 10:
        return tally.count(end.let_go(handle) ? Answer::kDone : Answer::kRefused);
      case 11:
        return tally.count(end.retire(handle) ? Answer::kDone : Answer::kRefused);
      case 12:
        tally.expect(end.reclaim() <= kGeometry.buffer_count, "more freed than there are");
        return end.return_cache();
      case 13:
        static_cast<void>(end.expand(static_cast<std::uint32_t>(handle.bits)));
        return tally.count(Answer::kAsked);
      case 14: {
        const auto carried = [&](const PoolDoubt& doubt) { return (doubt.handle.bits & 1) != 0; };
        const auto recovery =
            recover_participant<FuzzAtomics>(memory(), kGeometry, kHostile, carried);
        tally.expect(recovery.ok() && recovery.value().freed_count <= kGeometry.buffer_count,
                     "a recovery that fails, or frees more than there are");
        return tally.count(Answer::kAsked);
      }
      default: {
        const PoolCensus census = take_census<FuzzAtomics>(memory(), kGeometry);
        const std::uint32_t sum = census.free + census.cached + census.owned + census.in_flight +
                                  census.shared + census.retired + census.impossible;
        return tally.expect(sum == kGeometry.buffer_count, "a census of another pool");
      }
    }
  }

  GuardedBlock words_{pool_words_bytes(kGeometry)};
  GuardedBlock pages_{pool_pages_bytes(kGeometry)};
  GuardedBlock buffers_{pool_buffers_bytes(kGeometry)};
  std::array<GuardedBlock*, 3> all_{&words_, &pages_, &buffers_};
};

constexpr std::array<TargetInfo, 3> kTargets{{
    {"pool_owner", TargetKind::kShared,
     "1-4 x (a store to the returned table; an acquire, lend, drop, recovery with a forged handle, "
     "or question); a successor",
     make_target<SceneTarget<OwnerWorld>>},
    {"pool_reader", TargetKind::kShared,
     "1-4 x (a store to the lent table; a forged, stale or repeated handle held and given back); a "
     "successor",
     make_target<SceneTarget<ReaderWorld>>},
    {"shared_pool", TargetKind::kShared,
     "1-4 x (a store to a word or the hostile page; one of 14 calls of two honest participants "
     "with "
     "a known, stale, forged or crossed handle, or a recovery, in a quarter with one more store at "
     "one of its accesses); recovery and successors of both",
     make_target<SceneTarget<SharedWorld>>},
}};

}  // namespace

std::span<const TargetInfo> pool_targets() {
  return kTargets;
}

}  // namespace slipring::fuzz

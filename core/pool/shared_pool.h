// Buffers that many participants fill, hand on, and read together, without ever copying them.
//
// Protocol.  States and names are pool_word.h's.  A participant keeps a batch of free buffers in
// its cache: their words say kCached and name it, and a private list says which they are.  While
// the cache serves, try_acquire() and give_back() are plain stores into words that nobody else
// writes.
//   acquire -> send -> claim -> give_back     one buffer, one holder at a time
//   acquire -> share -> hold, let_go -> retire -> reclaim    one writer, any number of readers
//   participant's page: sending, ticket (the move under way), a mark for each buffer it holds
// There is no shared count and no list in shared memory, hence nothing to be left half changed.
//
// Invariants.  A buffer is in one place: that which its word names.  A reader's bytes stay as they
// are from hold() to let_go(): no word leaves kRetired while a mark of its slot is set.  All caches
// together hold at most half of the buffers.
//
// Crash.  What a dead participant cached, owned, was sending, or held comes back by
// recover_participant() (pool_recovery.h).  Whoever is stopped keeps what is its own, and delays
// nobody: no operation waits, and none looks at more than twice the whole table.
//
// Ordering.  shared_pool.A -> shared_pool.B  send: who claims a buffer sees its bytes.
//            shared_pool.C -> shared_pool.D  free: who takes a buffer writes after all use ended.
//            shared_pool.E <-> shared_pool.H and shared_pool.G <-> shared_pool.F  of mark-then-look
//            and retire-then-look at least one sees the other (sequentially consistent, all four).
//            shared_pool.I -> shared_pool.F  share: who holds a buffer sees its bytes.
//            shared_pool.J -> shared_pool.H  let go: the owner takes it back after the last read.
//            shared_pool.K -> shared_pool.L  intent: the reaper knows where a handle was going.
// Marks in the readers' own pages are hazard pointers (Michael, IEEE TPDS 2004), one bit a buffer.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/cpu/atomics.h"
#include "core/error/check.h"
#include "core/error/result.h"
#include "core/pool/pool_word.h"
#include "core/ring/transfer.h"

namespace slipring {

// A cache holds at most this many buffers, and fewer in a small pool.
inline constexpr std::uint32_t kMaxCachedBuffers = 64;
// Retired buffers are looked after in batches of this many.
inline constexpr std::uint32_t kRetireBatch = 16;
inline constexpr std::uint32_t kMaxListedRetired = 128;

// How many buffers one participant's cache may hold; 0 when the pool is too small for caches.
[[nodiscard]] constexpr std::uint32_t pool_cache_capacity(
    const SharedPoolGeometry& geometry) noexcept {
  const std::uint32_t share = geometry.buffer_count / (2 * geometry.participant_count);
  return share < kMaxCachedBuffers ? share : kMaxCachedBuffers;
}

// One participant's end.  One thread at a time; the ends of one pool may be in different processes.
template <typename Atomics>
class BasicSharedPool {
 public:
  // Takes the participant's role up; the caller holds it.  What a predecessor had sent, shared, or
  // retired stays so.  Errors: kInvalidArgument; kBusy when a predecessor's buffers, marks, or move
  // are still to be recovered.
  [[nodiscard]] static Result<BasicSharedPool> attach(const PoolMemory& memory,
                                                      const SharedPoolGeometry& geometry,
                                                      std::uint32_t participant) noexcept {
    if (Status valid = shared_pool_validate(geometry); !valid) return valid.error();
    if (participant >= geometry.participant_count) {
      return Error{ErrorCode::kInvalidArgument, 0, "no such participant of the pool", participant,
                   geometry.participant_count};
    }
    BasicSharedPool end(memory, geometry, participant);
    for (std::uint32_t slot = 0; slot < geometry.buffer_count; ++slot) {
      const BufferWord word = end.load_own(slot);
      if (word.is(BufferState::kCached, end.me_) || word.is(BufferState::kOwned, end.me_)) {
        return Error{ErrorCode::kBusy, 0, "a predecessor's buffers are not recovered", slot,
                     participant};
      }
      if (word.is(BufferState::kRetired, end.me_)) end.has_unlisted_ = true;
    }
    // relaxed, both: our own page, and attaching ordered us after our predecessor and its reaper.
    std::uint64_t left = Atomics::load(end.record_->sending, std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < pool_mark_word_count(geometry); ++i) {
      left |= Atomics::load(end.marks_[i], std::memory_order_relaxed);
    }
    if (left != 0) {
      return Error{ErrorCode::kBusy, 0, "a predecessor's page is not recovered", left, participant};
    }
    return end;
  }

  // Takes a free buffer for our own use.  kBlocked when none was found free; kCorruptPeer, and the
  // buffer is left alone, when somebody has written to a word that was ours.  Costs no locked
  // instruction while the cache serves, and one a buffer when it is filled again.
  [[nodiscard]] Transfer try_acquire(PoolHandle& handle) noexcept {
    if (cached_count_ == 0 && !refill()) return Transfer::kBlocked;
    const std::uint32_t slot = cached_[--cached_count_];
    const BufferWord word = load_own(slot);
    if (!word.is(BufferState::kCached, me_)) return Transfer::kCorruptPeer;
    const BufferWord owned = word.renamed(BufferState::kOwned, me_);
    // relaxed: nobody acts on a word that names us, except our reaper.
    Atomics::store(words_[slot], owned.bits, std::memory_order_relaxed);
    handle = owned.handle(slot);
    return Transfer::kDone;
  }

  // Whether the buffer is ours to write, under this name.
  [[nodiscard]] bool owns(const PoolHandle& handle) const noexcept {
    return handle.slot() < count_ && is_owned(load_own(handle.slot()), handle);
  }

  // Hands a buffer on.  `publish(sent)` puts the handle, under its new name, onto a ring, with a
  // release; what it answers is the answer.  Unless that is kDone, the buffer stays ours under its
  // old name.  `ticket` is for the reaper, should we die meanwhile: which ring, which position.
  // kCorruptPeer also when the handle is not ours, or when somebody took what was never published.
  // Memory ordering: what was written to the buffer is visible to whoever claims it.
  template <typename Publish>
  [[nodiscard]] Transfer send(const PoolHandle& handle, std::uint64_t ticket,
                              Publish&& publish) noexcept {
    const std::uint32_t slot = handle.slot();
    if (slot >= count_) return Transfer::kCorruptPeer;
    const BufferWord owned = load_own(slot);
    if (!is_owned(owned, handle)) return Transfer::kCorruptPeer;
    const BufferWord moving = owned.renamed(BufferState::kInFlight, me_);
    const PoolHandle sent = moving.handle(slot);
    // relaxed: sending publishes it
    Atomics::store(record_->ticket, ticket, std::memory_order_relaxed);
    note_sending(sent);
    Atomics::store(words_[slot], moving.bits,
                   std::memory_order_release);  // shared_pool.A pairs with shared_pool.B
    Transfer answer = publish(sent);
    if (answer != Transfer::kDone) {
      std::uint64_t expected = moving.bits;
      // relaxed: a name that was never published carries nothing to or from anybody.
      if (!Atomics::compare_exchange(words_[slot], expected, owned.bits, std::memory_order_relaxed,
                                     std::memory_order_relaxed)) {
        answer = Transfer::kCorruptPeer;
      }
    }
    note_sending({});
    return answer;
  }

  // Takes over the buffer that a ring delivered.  False, and nothing changes, when the handle is
  // stale, repeated, forged, or was claimed by another.  Memory ordering: see send().
  [[nodiscard]] bool claim(const PoolHandle& handle) noexcept {
    if (handle.slot() >= count_) return false;
    // relaxed: a guess, that the exchange confirms.
    std::uint64_t seen = Atomics::load(words_[handle.slot()], std::memory_order_relaxed);
    const BufferWord word{seen};
    if (word.state() != BufferState::kInFlight || !word.is_named(handle)) return false;
    // A lost race means that another has claimed it: there is nothing to try again.
    // shared_pool.B pairs with shared_pool.A; relaxed on failure: nothing follows from it.
    return Atomics::compare_exchange(words_[handle.slot()], seen,
                                     word.moved(BufferState::kOwned, me_).bits,
                                     std::memory_order_acquire, std::memory_order_relaxed);
  }

  // Ends our ownership.  False, and nothing changes, when the handle does not name a buffer that is
  // ours: given back twice, never claimed, another's.
  bool give_back(const PoolHandle& handle) noexcept {
    if (handle.slot() >= count_) return false;
    const BufferWord word = load_own(handle.slot());
    if (!is_owned(word, handle)) return false;
    put_back(handle.slot(), word);
    return true;
  }

  // From now on readers may hold the buffer, and nobody writes to it; the answer is its new name,
  // to be broadcast.  Null, and nothing changes, when the handle is not ours.
  // Memory ordering: what was written to the buffer is visible to whoever holds it.
  [[nodiscard]] PoolHandle share(const PoolHandle& handle) noexcept {
    const std::uint32_t slot = handle.slot();
    if (!owns(handle)) return {};
    const BufferWord shared = load_own(slot).renamed(BufferState::kShared, me_);
    Atomics::store(words_[slot], shared.bits,
                   std::memory_order_release);  // shared_pool.I pairs with shared_pool.F
    return shared.handle(slot);
  }

  // Marks a shared buffer as read by us.  False when it is no longer shared under this name, or
  // when we hold it already: a second mark could not be told from the first.
  [[nodiscard]] bool hold(const PoolHandle& handle) noexcept {
    if (handle.slot() >= count_) return false;
    SharedPoolWord& marks = marks_[handle.slot() / 64];
    const std::uint64_t bit = std::uint64_t{1} << handle.slot() % 64;
    const std::uint64_t held = Atomics::load(marks, std::memory_order_relaxed);  // relaxed: ours
    if ((held & bit) != 0) return false;
    // shared_pool.E pairs with shared_pool.H
    Atomics::store(marks, held | bit, std::memory_order_seq_cst);
    // shared_pool.F pairs with shared_pool.G and shared_pool.I
    const BufferWord word{Atomics::load(words_[handle.slot()], std::memory_order_seq_cst)};
    if (word.state() == BufferState::kShared && word.is_named(handle)) return true;
    // Nothing was read under this mark, but a later store hides an earlier one's release.
    // shared_pool.J pairs with shared_pool.H
    Atomics::store(marks, held, std::memory_order_release);
    return false;
  }

  // Ends a hold; the bytes may change at once.  False, and nothing changes, when we do not hold the
  // buffer under this name.
  bool let_go(const PoolHandle& handle) noexcept {
    if (handle.slot() >= count_) return false;
    SharedPoolWord& marks = marks_[handle.slot() / 64];
    const std::uint64_t bit = std::uint64_t{1} << handle.slot() % 64;
    const std::uint64_t held = Atomics::load(marks, std::memory_order_relaxed);  // relaxed: ours
    // relaxed, by load_own(): nobody gives a buffer that we hold another name.
    if ((held & bit) == 0 || !load_own(handle.slot()).is_named(handle)) return false;
    // shared_pool.J pairs with shared_pool.H
    Atomics::store(marks, held & ~bit, std::memory_order_release);
    return true;
  }

  // Ends the sharing: no new holds begin, and the buffer is free once the last has ended.  False,
  // and nothing changes, when the handle does not name a buffer that we share.
  bool retire(const PoolHandle& handle) noexcept {
    if (handle.slot() >= count_) return false;
    const BufferWord word = load_own(handle.slot());
    if (!word.is(BufferState::kShared, me_) || !word.is_named(handle)) return false;
    Atomics::store(words_[handle.slot()], word.moved(BufferState::kRetired, me_).bits,
                   std::memory_order_seq_cst);  // shared_pool.G pairs with shared_pool.F
    if (retired_count_ == kMaxListedRetired) {
      has_unlisted_ = true;  // found again by its word
    } else {
      retired_[retired_count_++] = handle.slot();
    }
    if (retired_count_ >= retire_mark_) reclaim();
    return true;
  }

  // Frees every retired buffer that no reader holds any more.  Answers how many.
  std::uint32_t reclaim() noexcept {
    if (has_unlisted_) return reclaim_from_table();
    std::uint32_t freed_count = 0;
    std::uint32_t left_count = 0;
    BasicHeldMarks<Atomics> held(memory_, geometry_);
    for (std::uint32_t at = 0; at < retired_count_; ++at) {
      const std::uint32_t slot = retired_[at];
      const BufferWord word = load_own(slot);
      if (!word.is(BufferState::kRetired, me_)) continue;  // the word is input
      if (held.has(slot)) {
        retired_[left_count++] = slot;
      } else {
        put_back(slot, word);
        ++freed_count;
      }
    }
    retired_count_ = left_count;
    // What is still held is looked at again only when as many again have been retired.
    retire_mark_ = retired_count_ + kRetireBatch;
    return freed_count;
  }

  // Gives all cached buffers to the others: before a pause, or before leaving.
  void return_cache() noexcept { spill(cached_count_); }

  // The bytes of a buffer.  Requires: ours by try_acquire() or claim(), until given back or sent.
  [[nodiscard]] std::span<std::byte> bytes(const PoolHandle& handle) const noexcept {
    check(handle.slot() < count_, "a buffer beyond the pool");
    return {memory_.buffers + handle.slot() * geometry_.buffer_bytes,
            static_cast<std::size_t>(geometry_.buffer_bytes)};
  }
  // The same to read.  Requires: hold() answered true, until let_go().
  [[nodiscard]] std::span<const std::byte> view(const PoolHandle& handle) const noexcept {
    return bytes(handle);
  }

  // The whole name of the buffer that the 32-bit form means; null when it is in flight under
  // another name.
  [[nodiscard]] PoolHandle expand(std::uint32_t compact) const noexcept {
    const std::uint32_t slot_bits = compact_slot_bits(geometry_);
    const auto slot = static_cast<std::uint32_t>(compact & ((std::uint64_t{1} << slot_bits) - 1));
    if (slot >= count_) return {};
    // relaxed: claim() looks again.
    const BufferWord word{Atomics::load(words_[slot], std::memory_order_relaxed)};
    const PoolHandle handle = word.handle(slot);
    const bool is_meant =
        word.state() == BufferState::kInFlight && compact_handle(geometry_, handle) == compact;
    return is_meant ? handle : PoolHandle{};
  }

  [[nodiscard]] const SharedPoolGeometry& geometry() const noexcept { return geometry_; }
  [[nodiscard]] std::uint32_t cached_count() const noexcept { return cached_count_; }

 private:
  BasicSharedPool(const PoolMemory& memory, const SharedPoolGeometry& geometry,
                  std::uint32_t participant) noexcept
      : words_(memory.words),
        count_(geometry.buffer_count),
        me_(participant + 1),
        cache_capacity_(pool_cache_capacity(geometry)),
        search_(static_cast<std::uint32_t>(std::uint64_t{participant} * geometry.buffer_count /
                                           geometry.participant_count)),
        record_(&memory.record(geometry, participant)),
        marks_(memory.marks(geometry, participant)),
        memory_(memory),
        geometry_(geometry) {}

  [[nodiscard]] BufferWord load_own(std::uint32_t slot) const noexcept {
    // relaxed: whoever names us wrote it in this thread, or before we attached.
    return {Atomics::load(words_[slot], std::memory_order_relaxed)};
  }
  // shared_pool.K pairs with shared_pool.L: behind the ticket; null, behind the publishing.
  void note_sending(const PoolHandle& handle) noexcept {
    Atomics::store(record_->sending, handle.bits, std::memory_order_release);
  }
  [[nodiscard]] bool is_owned(const BufferWord& word, const PoolHandle& handle) const noexcept {
    return word.is(BufferState::kOwned, me_) && word.is_named(handle);
  }

  // Fills the empty cache.  False when nothing was found in the whole table.
  [[nodiscard]] bool refill() noexcept {
    if ((retired_count_ != 0 || has_unlisted_) && reclaim() != 0 && cached_count_ != 0) return true;
    const std::uint32_t wanted_count = cache_capacity_ < 2 ? 1 : cache_capacity_ / 2;
    for (std::uint32_t tried = 0; tried < count_ && cached_count_ < wanted_count; ++tried) {
      const std::uint32_t slot = search_;
      search_ = search_ + 1 == count_ ? 0 : search_ + 1;
      // relaxed: a guess, that the exchange confirms.
      std::uint64_t seen = Atomics::load(words_[slot], std::memory_order_relaxed);
      const BufferWord word{seen};
      if (!word.is(BufferState::kFree, 0)) continue;
      // A lost race goes on to the next word: nothing is tried again with what was loaded before.
      // shared_pool.D pairs with shared_pool.C; relaxed on failure: nothing follows from it.
      if (Atomics::compare_exchange(words_[slot], seen, word.moved(BufferState::kCached, me_).bits,
                                    std::memory_order_acquire, std::memory_order_relaxed)) {
        cached_[cached_count_++] = slot;
      }
    }
    return cached_count_ != 0;
  }

  // Frees the `wanted_count` buffers that have lain in the cache for longest.
  void spill(std::uint32_t wanted_count) noexcept {
    for (std::uint32_t i = 0; i < wanted_count; ++i) {
      const BufferWord word = load_own(cached_[i]);
      if (!word.is(BufferState::kCached, me_)) continue;  // scribbled over: no longer ours
      Atomics::store(words_[cached_[i]], word.moved(BufferState::kFree, 0).bits,
                     std::memory_order_release);  // shared_pool.C pairs with shared_pool.D
    }
    for (std::uint32_t i = wanted_count; i < cached_count_; ++i) {
      cached_[i - wanted_count] = cached_[i];
    }
    cached_count_ -= wanted_count;
  }

  // Frees a buffer that is ours; by way of the cache, where there is one.
  void put_back(std::uint32_t slot, const BufferWord& word) noexcept {
    if (cache_capacity_ == 0) {
      Atomics::store(words_[slot], word.moved(BufferState::kFree, 0).bits,
                     std::memory_order_release);  // shared_pool.C pairs with shared_pool.D
      return;
    }
    if (cached_count_ == cache_capacity_) spill((cache_capacity_ + 1) / 2);
    // relaxed: nobody acts on a word that names us, except our reaper.
    Atomics::store(words_[slot], word.moved(BufferState::kCached, me_).bits,
                   std::memory_order_relaxed);
    cached_[cached_count_++] = slot;
  }

  // The slow way, when more were retired than the list holds or a predecessor left some.
  std::uint32_t reclaim_from_table() noexcept {
    retired_count_ = 0;
    has_unlisted_ = false;
    std::uint32_t freed_count = 0;
    BasicHeldMarks<Atomics> held(memory_, geometry_);
    for (std::uint32_t slot = 0; slot < count_; ++slot) {
      const BufferWord word = load_own(slot);
      if (!word.is(BufferState::kRetired, me_)) continue;
      if (!held.has(slot)) {
        put_back(slot, word);
        ++freed_count;
      } else if (retired_count_ < kMaxListedRetired) {
        retired_[retired_count_++] = slot;
      } else {
        has_unlisted_ = true;
      }
    }
    return freed_count;
  }

  SharedPoolWord* words_;
  std::uint32_t count_;
  std::uint32_t me_;  // as words name us: the participant's number + 1
  std::uint32_t cache_capacity_;
  std::uint32_t search_;  // where the next look for free buffers begins
  std::uint32_t cached_count_ = 0;
  std::uint32_t retired_count_ = 0;
  std::uint32_t retire_mark_ = kRetireBatch;
  bool has_unlisted_ = false;  // a retired buffer that the list does not name
  PoolRecord* record_;
  SharedPoolWord* marks_;
  PoolMemory memory_;
  SharedPoolGeometry geometry_;
  std::array<std::uint32_t, kMaxCachedBuffers> cached_{};  // the last one freed is the first used
  std::array<std::uint32_t, kMaxListedRetired> retired_{};
};

using SharedPool = BasicSharedPool<StdAtomics>;

}  // namespace slipring

// Large buffers that stay where they were written: one owner fills them, readers use them in place.
//
// Protocol.  The owner lends a buffer by giving it a new generation and sending the handle {slot,
// generation} over a ring; the reader uses the bytes in place and gives the buffer back by storing
// the generation in its own page.  No word has two writers, so there is no compare-and-swap, and no
// count that a dead process could leave wrong.
//   owner's page:   lent[slot]      the newest generation given out
//   reader's page:  returned[slot]  the newest generation given back
// Invariant: returned[slot] <= lent[slot] <= returned[slot] + 1.  A buffer is free when the two are
// equal and the owner does not use it itself: a decoder, for one, still refers to frames that have
// been shown long ago.
//
// Which one.  Of those that the owner knows to be free it takes the first, so that a load that
// needs few buffers goes through few, whose bytes stay in a cache.  Taken in turn, a pool as large
// as the cache is fetched from memory, and written back, by a load that needs two of its buffers.
//
// Crash.  A dead owner's uses end with it.  What it lent and had not sent yet would be lost: its
// successor gives recover() the handles that the ring still carries, and takes back the rest.  A
// dead reader's successor is sent the unfinished handles again by the ring; one that had been given
// back already is recognised by holds().
//
// Ordering.  pool.A -> pool.B  lend: through the ring as well; who sees the generation sees the
// bytes.
//            pool.C -> pool.D  give back: the owner writes only what is no longer read.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/cpu/atomics.h"
#include "core/error/check.h"
#include "core/error/result.h"
#include "core/ring/transfer.h"

namespace slipring {

inline constexpr std::uint32_t kMaxPoolBuffers = 1024;
// More of them find what has come back sooner, and so keep fewer buffers in circulation.
inline constexpr std::uint32_t kLooksAnAcquire = 4;

// Names one filling of one buffer.  Travels in messages; every field is input to its receiver.
struct BufferHandle {
  std::uint32_t slot;
  std::uint32_t generation;
};
// Names no buffer of any pool.
inline constexpr BufferHandle kNullHandle{UINT32_MAX, 0};

struct PoolGeometry {
  std::uint32_t buffer_count;  // 1 to kMaxPoolBuffers
  std::uint32_t reserved;      // 0
  std::uint64_t buffer_bytes;  // a multiple of 64
};

// Errors: kInvalidArgument with the offending value.
[[nodiscard]] inline Status pool_validate(const PoolGeometry& geometry) noexcept {
  if (geometry.buffer_count == 0 || geometry.buffer_count > kMaxPoolBuffers) {
    return Error{ErrorCode::kInvalidArgument, 0, "pool buffer count is not from 1 to 1024",
                 geometry.buffer_count, kMaxPoolBuffers};
  }
  if (geometry.buffer_bytes == 0 || geometry.buffer_bytes % 64 != 0 ||
      geometry.buffer_bytes >> 40 != 0) {
    return Error{ErrorCode::kInvalidArgument, 0,
                 "pool buffer size is not a multiple of 64 bytes below 1 TiB",
                 geometry.buffer_bytes, 64};
  }
  return {};
}

// A table of generations, one word a buffer, in its writer's region.
using PoolWord = std::atomic<std::uint64_t>;
static_assert(PoolWord::is_always_lock_free, "shared words must be address-free");
static_assert(sizeof(PoolWord) == 8);

// The owner's end.  One thread at a time.  Holds no memory of its own beyond its members.
template <typename Atomics>
class BasicPoolOwner {
 public:
  // Takes the pool over: nothing is in use by this process, and what is lent stays lent.
  // Errors: kInvalidArgument; kCorruptPeer when a reader has returned what was never lent.
  [[nodiscard]] static Result<BasicPoolOwner> attach(PoolWord* lent, const PoolWord* returned,
                                                     std::byte* buffers,
                                                     const PoolGeometry& geometry) noexcept {
    if (Status valid = pool_validate(geometry); !valid) return valid.error();
    BasicPoolOwner owner(lent, returned, buffers, geometry);
    for (std::uint32_t slot = 0; slot < geometry.buffer_count; ++slot) {
      if (owner.outstanding(slot) > 1) {
        return Error{ErrorCode::kCorruptPeer, 0, "a reader returned a buffer that was never lent",
                     slot, geometry.buffer_count};
      }
    }
    return owner;
  }

  // Whether the handle names the newest filling of its buffer.
  [[nodiscard]] bool is_current(const BufferHandle& handle) const noexcept {
    return handle.slot < count_ && generation_of(handle.slot) == handle.generation;
  }

  // Takes back what the predecessor lent and never sent.  `in_flight` are the handles that the ring
  // still carries, read after the consumer's cursor (cursor.D), so that none is missing.
  // Answers how many buffers came back.
  std::uint32_t recover(std::span<const BufferHandle> in_flight) noexcept {
    std::array<bool, kMaxPoolBuffers> carried{};
    for (const BufferHandle& handle : in_flight) {
      if (is_current(handle)) carried[handle.slot] = true;
    }
    std::uint32_t recovered_count = 0;
    for (std::uint32_t slot = 0; slot < count_; ++slot) {
      if (carried[slot] || outstanding(slot) != 1) continue;
      // relaxed, both: the handle was never sent, so nobody can look at this word for its sake.
      const std::uint64_t lent = Atomics::load(lent_[slot], std::memory_order_relaxed);
      Atomics::store(lent_[slot], lent - 1, std::memory_order_relaxed);
      ++recovered_count;
    }
    return recovered_count;
  }

  // Finds a buffer that neither a reader nor the owner uses, and marks it as used by the owner
  // until drop().  kBlocked when there is none; kCorruptPeer when a reader's table is impossible.
  [[nodiscard]] Transfer try_acquire(std::uint32_t& slot) noexcept {
    for (const std::uint32_t look_count : {kLooksAnAcquire, count_}) {
      if (collect(look_count) == Transfer::kCorruptPeer) return Transfer::kCorruptPeer;
      for (std::uint32_t found = first_free(); found < count_; found = first_free()) {
        free_[found / 64] &= ~bit_of(found);
        // It may have been taken by its number meanwhile, or be lent since before we attached.
        const Transfer answer = look_at(found);
        if (answer == Transfer::kBlocked) continue;
        if (answer == Transfer::kDone) {
          used_[found] = true;
          slot = found;
        }
        return answer;
      }
    }
    return Transfer::kBlocked;
  }

  // As try_acquire(), of this very buffer: for a successor whose own records say what its
  // predecessor was filling.  False when it is not free.
  [[nodiscard]] bool try_acquire_slot(std::uint32_t slot) noexcept {
    if (slot >= count_ || used_[slot] || outstanding(slot) != 0) return false;
    used_[slot] = true;
    return true;
  }

  // The bytes of a buffer that the owner uses.
  [[nodiscard]] std::span<std::byte> bytes(std::uint32_t slot) const noexcept {
    check(slot < count_, "a buffer beyond the pool");
    return {buffers_ + slot * buffer_bytes_, static_cast<std::size_t>(buffer_bytes_)};
  }

  // True while a reader may still look at the buffer.
  [[nodiscard]] bool is_lent(std::uint32_t slot) const noexcept {
    check(slot < count_, "a buffer beyond the pool");
    return outstanding(slot) != 0;
  }

  // Gives the buffer a new generation, just before its handle is sent.  The owner may go on reading
  // it; it must not write to it until it is free again.  While a reader still has the buffer, or
  // claims to, the answer is kNullHandle and nothing changes.
  // Requires: used by the owner.
  [[nodiscard]] BufferHandle lend(std::uint32_t slot) noexcept {
    check(slot < count_ && used_[slot], "lending a buffer that the owner does not use");
    if (is_lent(slot)) return kNullHandle;  // the reader's word is input: no check()
    // relaxed load: only the owner writes this word.
    const std::uint64_t generation = Atomics::load(lent_[slot], std::memory_order_relaxed) + 1;
    Atomics::store(lent_[slot], generation, std::memory_order_release);  // pool.A pairs with pool.B
    return {slot, static_cast<std::uint32_t>(generation)};
  }

  // Takes back a handle that was lent and never sent; the buffer stays the owner's.  Whoever lends
  // before the bytes are complete, so that they outlive it, has this for the case that they never
  // will be.  Requires: used by the owner, lent, and its handle in no message.
  void withdraw(std::uint32_t slot) noexcept {
    check(slot < count_ && used_[slot], "withdrawing a buffer that the owner does not use");
    // relaxed, both: the handle was never sent, so nobody can look at this word for its sake.
    const std::uint64_t lent = Atomics::load(lent_[slot], std::memory_order_relaxed);
    Atomics::store(lent_[slot], lent - 1, std::memory_order_relaxed);
  }

  // Ends the owner's own use.
  void drop(std::uint32_t slot) noexcept {
    check(slot < count_ && used_[slot], "dropping a buffer that the owner does not use");
    used_[slot] = false;
  }

  [[nodiscard]] std::uint32_t buffer_count() const noexcept { return count_; }
  [[nodiscard]] std::uint64_t buffer_bytes() const noexcept { return buffer_bytes_; }
  // How many buffers readers may still look at.
  [[nodiscard]] std::uint32_t lent_count() const noexcept {
    std::uint32_t count = 0;
    for (std::uint32_t slot = 0; slot < count_; ++slot) count += is_lent(slot) ? 1U : 0U;
    return count;
  }

 private:
  BasicPoolOwner(PoolWord* lent, const PoolWord* returned, std::byte* buffers,
                 const PoolGeometry& geometry) noexcept
      : lent_(lent),
        returned_(returned),
        buffers_(buffers),
        count_(geometry.buffer_count),
        buffer_bytes_(geometry.buffer_bytes) {
    free_.fill(UINT64_MAX);
  }

  // kDone: free; kBlocked: somebody uses it; kCorruptPeer: the reader's word is impossible.
  [[nodiscard]] Transfer look_at(std::uint32_t slot) const noexcept {
    if (used_[slot]) return Transfer::kBlocked;
    const std::uint64_t out = outstanding(slot);
    if (out > 1) return Transfer::kCorruptPeer;
    return out == 0 ? Transfer::kDone : Transfer::kBlocked;
  }

  // Looks at so many of the buffers that were in use, in turn, and notes which are free now.
  [[nodiscard]] Transfer collect(std::uint32_t look_count) noexcept {
    for (; look_count != 0; --look_count) {
      const std::uint32_t slot = next_in_use();
      if (slot >= count_) break;
      const Transfer answer = look_at(slot);
      if (answer == Transfer::kCorruptPeer) return answer;
      if (answer == Transfer::kDone) free_[slot / 64] |= bit_of(slot);
      next_look_ = slot + 1 < count_ ? slot + 1 : 0;
    }
    return Transfer::kDone;
  }

  [[nodiscard]] static constexpr std::uint64_t bit_of(std::uint32_t slot) noexcept {
    return std::uint64_t{1} << slot % 64;
  }
  [[nodiscard]] std::uint32_t word_count() const noexcept { return (count_ + 63) / 64; }
  // count_ or more when there is none; so does next_in_use().
  [[nodiscard]] std::uint32_t first_free() const noexcept {
    for (std::uint32_t word = 0; word < word_count(); ++word) {
      if (free_[word] != 0) {
        return word * 64 + static_cast<std::uint32_t>(std::countr_zero(free_[word]));
      }
    }
    return UINT32_MAX;
  }
  // From next_look_ on, around.
  [[nodiscard]] std::uint32_t next_in_use() const noexcept {
    std::uint64_t wanted = UINT64_MAX << next_look_ % 64;
    // The first word twice: its first bits come last.
    for (std::uint32_t i = 0; i <= word_count(); ++i, wanted = UINT64_MAX) {
      const std::uint32_t word = (next_look_ / 64 + i) % word_count();
      const std::uint64_t in_use = ~free_[word] & wanted;
      if (in_use != 0) return word * 64 + static_cast<std::uint32_t>(std::countr_zero(in_use));
    }
    return UINT32_MAX;
  }

  // 0: free; 1: lent; more: the reader's word is impossible.
  [[nodiscard]] std::uint64_t outstanding(std::uint32_t slot) const noexcept {
    // relaxed: only the owner writes lent.
    return Atomics::load(lent_[slot], std::memory_order_relaxed) -
           Atomics::load(returned_[slot], std::memory_order_acquire);  // pool.D pairs with pool.C
  }
  [[nodiscard]] std::uint32_t generation_of(std::uint32_t slot) const noexcept {
    return static_cast<std::uint32_t>(
        Atomics::load(lent_[slot], std::memory_order_relaxed));  // relaxed: own word
  }

  PoolWord* lent_;
  const PoolWord* returned_;
  std::byte* buffers_;
  std::uint32_t count_;
  std::uint64_t buffer_bytes_;
  // A bit a buffer that was last seen free; of what lies beyond the last buffer, too, so that
  // nobody looks there.
  std::array<std::uint64_t, kMaxPoolBuffers / 64> free_;
  std::uint32_t next_look_ = 0;  // where the next look at those in use begins
  std::array<bool, kMaxPoolBuffers> used_{};
};

using PoolOwner = BasicPoolOwner<StdAtomics>;

// A reader's end.  One thread at a time.
template <typename Atomics>
class BasicPoolReader {
 public:
  // Errors: kInvalidArgument.
  [[nodiscard]] static Result<BasicPoolReader> attach(PoolWord* returned, const PoolWord* lent,
                                                      const std::byte* buffers,
                                                      const PoolGeometry& geometry) noexcept {
    if (Status valid = pool_validate(geometry); !valid) return valid.error();
    return BasicPoolReader(returned, lent, buffers, geometry);
  }

  // Whether `handle` names a buffer that is lent to us now and not yet given back.  False for a
  // handle from a confused peer, and for one that our predecessor finished before it died.
  [[nodiscard]] bool holds(const BufferHandle& handle) const noexcept {
    if (handle.slot >= count_) return false;
    const std::uint64_t lent =
        Atomics::load(lent_[handle.slot], std::memory_order_acquire);  // pool.B pairs with pool.A
    // relaxed: only the reader writes its own table.
    const std::uint64_t returned = Atomics::load(returned_[handle.slot], std::memory_order_relaxed);
    return lent - returned == 1 && static_cast<std::uint32_t>(lent) == handle.generation;
  }

  // The buffer's bytes, to be read until give_back().  Requires: holds(handle).
  [[nodiscard]] std::span<const std::byte> bytes(const BufferHandle& handle) const noexcept {
    check(handle.slot < count_, "a buffer beyond the pool");
    return {buffers_ + handle.slot * buffer_bytes_, static_cast<std::size_t>(buffer_bytes_)};
  }

  // Gives the buffer back; do it before releasing the message that brought the handle.  False, and
  // nothing changes, when it is not held: a confused peer may name one buffer in two messages.
  bool give_back(const BufferHandle& handle) noexcept {
    if (!holds(handle)) return false;
    // relaxed load: only the reader writes its own table.
    const std::uint64_t returned = Atomics::load(returned_[handle.slot], std::memory_order_relaxed);
    Atomics::store(returned_[handle.slot], returned + 1,
                   std::memory_order_release);  // pool.C pairs with pool.D
    return true;
  }

  [[nodiscard]] std::uint32_t buffer_count() const noexcept { return count_; }
  [[nodiscard]] std::uint64_t buffer_bytes() const noexcept { return buffer_bytes_; }

 private:
  BasicPoolReader(PoolWord* returned, const PoolWord* lent, const std::byte* buffers,
                  const PoolGeometry& geometry) noexcept
      : returned_(returned),
        lent_(lent),
        buffers_(buffers),
        count_(geometry.buffer_count),
        buffer_bytes_(geometry.buffer_bytes) {}

  PoolWord* returned_;
  const PoolWord* lent_;
  const std::byte* buffers_;
  std::uint32_t count_;
  std::uint64_t buffer_bytes_;
};

using PoolReader = BasicPoolReader<StdAtomics>;

}  // namespace slipring

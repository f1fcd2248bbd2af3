// Brings back what a dead participant of a shared pool had, and counts where the buffers are.
//
// Protocol.  Every buffer's word names its place, so recovery is one walk over the table: what
// names the dead participant is freed, except what a ring still delivers.  A buffer in flight is
// left alone, whoever sent it: its receiver will claim it.  Only for the one that was being sent
// at the moment of death does somebody have to say whether it got onto the ring; the intent in the
// dead one's page says which that is.
//
// Crash.  Each buffer comes back by one exchange, and the intent is wiped last: a reaper may die
// anywhere, and the next one goes through the same walk with the same result.
//
// Ordering.  The labels are shared_pool.h's: the reaper frees, retires, and looks for holds in the
// same way as the owner would have done.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/cpu/atomics.h"
#include "core/error/result.h"
#include "core/pool/pool_word.h"

namespace slipring {

// A buffer of a dead participant of which the pool alone cannot say whether a ring delivers it.
struct PoolDoubt {
  PoolHandle handle;
  // kInFlight: it was being sent.  kOwned: it may have been claimed from a ring that will deliver
  // it again.  kShared: it may be on a broadcast ring, or not yet, or no longer.
  BufferState state;
  std::uint64_t ticket;  // as given to send(); 0 unless kInFlight
};

struct PoolRecovery {
  std::uint32_t freed_count = 0;
  std::uint32_t kept_count = 0;  // a ring delivers them
  std::uint32_t held_count = 0;  // retired, but read by the living: they are freed by the
                                 // successor's reclaim(), or by recovering once more
};

// Frees one buffer, unless its word has changed since it was looked at.
template <typename Atomics>
[[nodiscard]] bool free_buffer(SharedPoolWord& shared_word, const BufferWord& seen) noexcept {
  std::uint64_t expected = seen.bits;
  // shared_pool.C pairs with shared_pool.D; relaxed on failure: then it is not ours to free.
  return Atomics::compare_exchange(shared_word, expected, seen.moved(BufferState::kFree, 0).bits,
                                   std::memory_order_release, std::memory_order_relaxed);
}

// Settles one buffer whose word, `seen`, names a dead participant.  `sending` is what its page says
// that it was sending.
template <typename Atomics, typename Carried>
void recover_buffer(const PoolMemory& memory, const SharedPoolGeometry& geometry,
                    std::uint32_t slot, const BufferWord& seen, const PoolDoubt& sending,
                    Carried& carried, PoolRecovery& recovery) noexcept {
  SharedPoolWord& shared_word = memory.words[slot];
  BufferWord word = seen;
  switch (seen.state()) {
    case BufferState::kCached:
      break;
    case BufferState::kOwned:
      if (carried(PoolDoubt{seen.handle(slot), BufferState::kOwned, 0})) {
        std::uint64_t expected = seen.bits;
        // shared_pool.A pairs with shared_pool.B; relaxed on failure: nothing follows from it.
        static_cast<void>(Atomics::compare_exchange(
            shared_word, expected, seen.moved(BufferState::kInFlight, seen.owner()).bits,
            std::memory_order_release, std::memory_order_relaxed));
        ++recovery.kept_count;
        return;
      }
      break;
    case BufferState::kInFlight:
      if (seen.handle(slot) != sending.handle) return;  // on a ring, or off it and soon claimed
      if (carried(sending)) {
        ++recovery.kept_count;
        return;
      }
      break;
    case BufferState::kShared:
      if (carried(PoolDoubt{seen.handle(slot), BufferState::kShared, 0})) {
        ++recovery.kept_count;
        return;
      }
      word = seen.moved(BufferState::kRetired, seen.owner());
      // The dead one no longer writes this word, and nobody else does.
      Atomics::store(shared_word, word.bits,
                     std::memory_order_seq_cst);  // shared_pool.G pairs with shared_pool.F
      [[fallthrough]];
    case BufferState::kRetired:
      if ((memory.held<Atomics>(geometry, slot / 64) >> slot % 64 & 1U) != 0) {
        ++recovery.held_count;
        return;
      }
      break;
    case BufferState::kFree:
    default:
      return;  // no correct participant writes such a word
  }
  if (free_buffer<Atomics>(shared_word, word)) ++recovery.freed_count;
}

// Whatever the dead one held, it no longer reads.
template <typename Atomics>
void end_holds(const PoolMemory& memory, const SharedPoolGeometry& geometry,
               std::uint32_t dead) noexcept {
  SharedPoolWord* marks = memory.marks(geometry, dead);
  for (std::uint32_t i = 0; i < pool_mark_word_count(geometry); ++i) {
    // shared_pool.J pairs with shared_pool.H
    Atomics::store(marks[i], 0, std::memory_order_release);
  }
}

// Recovers what `dead` had.  `carried(doubt)` says whether a ring delivers the handle:
//   kInFlight  whether it got onto the ring, even if it has been taken off meanwhile
//   kOwned     whether the ring has it among the messages that it will deliver again; then it is
//              put back in flight, and the successor can claim it
//   kShared    whether the broadcast ring still shows it
// Requires: a certificate of death, a lock that keeps other reapers of this participant out, and
// the participant's rings recovered first, so that they can answer.  Any process may be the reaper.
// Idempotent.  Errors: kInvalidArgument.
template <typename Atomics = StdAtomics, typename Carried>
[[nodiscard]] Result<PoolRecovery> recover_participant(const PoolMemory& memory,
                                                       const SharedPoolGeometry& geometry,
                                                       std::uint32_t dead,
                                                       Carried&& carried) noexcept {
  if (Status valid = shared_pool_validate(geometry); !valid) return valid.error();
  if (dead >= geometry.participant_count) {
    return Error{ErrorCode::kInvalidArgument, 0, "no such participant of the pool", dead,
                 geometry.participant_count};
  }
  end_holds<Atomics>(memory, geometry, dead);
  PoolRecord& record = memory.record(geometry, dead);
  // shared_pool.L pairs with shared_pool.K
  const PoolHandle sending{Atomics::load(record.sending, std::memory_order_acquire)};
  const std::uint64_t ticket =
      Atomics::load(record.ticket, std::memory_order_relaxed);  // relaxed: sending published it
  PoolRecovery recovery;
  for (std::uint32_t slot = 0; slot < geometry.buffer_count; ++slot) {
    // relaxed: the certificate orders us after the dead one; others are met by an exchange.
    const BufferWord word{Atomics::load(memory.words[slot], std::memory_order_relaxed)};
    if (word.owner() != dead + 1) continue;
    recover_buffer<Atomics>(memory, geometry, slot, word, {sending, BufferState::kInFlight, ticket},
                            carried, recovery);
  }
  // shared_pool.K pairs with shared_pool.L
  Atomics::store(record.sending, 0, std::memory_order_release);
  return recovery;
}

// Frees the buffers in flight that no ring delivers any more: those on a ring that is being taken
// down, or lost by a receiver that died with a handle in its hands.  Answers how many.
// Requires: nobody sends, and nobody stands between taking a handle off a ring and claiming it.
// Errors: kInvalidArgument.
template <typename Atomics = StdAtomics, typename Carried>
[[nodiscard]] Result<std::uint32_t> recover_in_flight(const PoolMemory& memory,
                                                      const SharedPoolGeometry& geometry,
                                                      Carried&& carried) noexcept {
  if (Status valid = shared_pool_validate(geometry); !valid) return valid.error();
  std::uint32_t freed_count = 0;
  for (std::uint32_t slot = 0; slot < geometry.buffer_count; ++slot) {
    // relaxed: the caller keeps all others away from buffers in flight.
    const BufferWord word{Atomics::load(memory.words[slot], std::memory_order_relaxed)};
    if (word.state() != BufferState::kInFlight || carried(word.handle(slot))) continue;
    if (free_buffer<Atomics>(memory.words[slot], word)) ++freed_count;
  }
  return freed_count;
}

// How many buffers are where.  The sum is the pool; `impossible` are words that no correct
// participant writes.  Exact while nobody works, a picture of the moment otherwise.
struct PoolCensus {
  std::uint32_t free = 0;
  std::uint32_t cached = 0;
  std::uint32_t owned = 0;
  std::uint32_t in_flight = 0;
  std::uint32_t shared = 0;
  std::uint32_t retired = 0;
  std::uint32_t impossible = 0;
};

template <typename Atomics = StdAtomics>
[[nodiscard]] PoolCensus take_census(const PoolMemory& memory,
                                     const SharedPoolGeometry& geometry) noexcept {
  PoolCensus census;
  const std::array<std::uint32_t*, 6> count_of{&census.free,      &census.cached, &census.owned,
                                               &census.in_flight, &census.shared, &census.retired};
  for (std::uint32_t slot = 0; slot < geometry.buffer_count; ++slot) {
    // relaxed: shown to people; nothing is decided by it.
    const BufferWord word{Atomics::load(memory.words[slot], std::memory_order_relaxed)};
    const auto state = static_cast<std::size_t>(word.state());
    const bool has_owner = word.owner() != 0 && word.owner() <= geometry.participant_count;
    const bool is_possible = state < count_of.size() && word.is(word.state(), word.owner()) &&
                             (state == 0 ? word.owner() == 0 : has_owner);
    ++(is_possible ? *count_of[state] : census.impossible);
  }
  return census;
}

}  // namespace slipring

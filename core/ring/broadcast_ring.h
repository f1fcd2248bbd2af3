// One writer, many readers, every message to each of them; in shared memory.
//
// Protocol.  A slot is a state word followed by the payload; the message at position p lies in slot
// p % slot_count.  The state says which message is being written there (odd) or is there (even) and
// only grows (BroadcastCut), so that a reader that was stopped for any number of laps sees that the
// slot is not the one it was.
//   writer's page:     slots, tail, abort_before; scan_at and put_out, its side of membership
//   each reader's own: credit (what the writer may overwrite, given rarely), joined, and on a line
//                      that is seldom looked at done and taken (the exact cursor, for a successor)
// The policy is chosen at create:
//   overwrite  The writer looks at no reader's page and never waits.  A reader copies a message and
//              then asks whether the state is still the same; if not, it leaves behind what is gone
//              and is told exactly how many messages that were.
//   block      The writer does not pass the slowest member by more than a lap.
//   evict      The writer puts out who is further behind than the lag limit and never waits.  Who
//              was put out learns it at its next call, joins again, and is told what it lost.
// Whom to count as alive is decided above the ring: drop_reader() ends a dead one's membership, a
// successor takes it over by attaching to the page, and exclude() is for those that lie.
//
// Missing.  A writer that is itself told of a loss passes over the positions of what it does not
// have, in one store: `missing_before` is where it goes on, and what lies below and is in no slot
// is lost to every reader, each of which counts it as it comes past.  Slots are left as they are:
// what is held stays held.  A reader that the writer waits for passes once it holds nothing.
//
// Joining.  `joined` goes out, joining, in; then the next membership begins.  The writer stores
// scan_at, then looks at the members; who joins stores `joining`, then reads scan_at: so the writer
// sees it, or it sees how far the writer had come, and begins no earlier.  Until the writer's next
// scan it gives away at most one lap from scan_at.  While a reader is `joining` the writer, not
// knowing its cursor yet, takes it for one that is as far behind as can be.
//
// Invariants: credit <= done <= taken <= published (a reader that joined at the oldest message, or
// went back, may be below its own credit at first: what lies there was never promised).  Under
// block, what is in a slot is below credit + slot_count of every member.  All positions only grow
// within a membership, unless the reader goes back; tail is one off `published` only while a commit
// is under way, or after a death in one, or below missing_before until the next commit.
//
// Distrust.  A reader's page can delay a writer that waits for it, as a slow reader can, and do
// nothing else: an impossible cursor counts as one that has not moved, and is answered once with
// kCorruptPeer.  A writer can lie to its readers about messages only.
//
// Crash.  A writer that dies in a message leaves an odd state, which no reader takes; its successor
// writes that message anew.  One that dies in a scan has moved nothing that a reader relies on.  A
// reader that dies keeps its place until somebody drops it; what it had taken and not finished
// comes again to its successor, marked `redelivered`.
//
// Ordering.  broadcast.A -> broadcast.B  publish: who sees the state sees the payload.
//            broadcast.C -> broadcast.D  overtake: who has read a word of the next message sees, in
//                                        the look after it, that the state has moved.
//            broadcast.E -> broadcast.F  tail: who starts there finds all below published.
//            broadcast.G -> broadcast.H  credit: the writer overwrites only what has been read.
//            broadcast.I <-> broadcast.J, broadcast.K <-> broadcast.L  scan and join: at least one
//                                        side sees the other.
//            broadcast.M, broadcast.N -> broadcast.J  in, out: with the cursor, after the reading.
//            broadcast.P -> broadcast.Q  abort_before; broadcast.R -> broadcast.S  done.
//            broadcast.T -> broadcast.U  put out: before anything that was owed is overwritten.
//            broadcast.W -> broadcast.X  missing: who sees it sees all that was published below.
// The discipline of reading between two looks at a sequence is that of Linux's seqlock (Hemminger,
// 2002); its fences in terms of the language are Boehm's ("Can seqlocks get along with programming
// language memory models?", MSPC 2012).
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>

#include "core/cpu/atomics.h"
#include "core/error/check.h"
#include "core/ring/broadcast_page.h"
#include "core/ring/broadcast_reader.h"
#include "core/ring/broadcast_view.h"
#include "core/ring/broadcast_writer.h"
#include "core/ring/transfer.h"

namespace slipring {

// The writing end of a ring whose slots hold one T each.  As BroadcastWriter, which stays reachable
// for all that is not about messages.  One thread at a time.
template <typename T, typename Atomics = StdAtomics>
requires std::is_trivially_copyable_v<T>
class TypedBroadcastWriter {
 public:
  // Requires: slots of sizeof(T) bytes.
  explicit TypedBroadcastWriter(const BasicBroadcastWriter<Atomics>& ring) noexcept : ring_(ring) {
    check(ring.slot_bytes() == sizeof(T), "slots of another size than the message");
  }

  [[nodiscard]] Transfer try_push(const T& message) noexcept {
    return ring_.try_push(std::as_bytes(std::span<const T, 1>(&message, 1)));
  }

  [[nodiscard]] BasicBroadcastWriter<Atomics>& ring() noexcept { return ring_; }

 private:
  BasicBroadcastWriter<Atomics> ring_;
};

// The reading end of such a ring.  One thread at a time.
template <typename T, typename Atomics = StdAtomics>
requires std::is_trivially_copyable_v<T>
class TypedBroadcastReader {
 public:
  // Requires: slots of sizeof(T) bytes.
  explicit TypedBroadcastReader(const BasicBroadcastReader<Atomics>& ring) noexcept : ring_(ring) {
    check(ring.slot_bytes() == sizeof(T), "slots of another size than the message");
  }

  // Copies the next message out and finishes it; `lost` says how many there were between the one
  // before and this one.  `message` is undefined unless the answer is kDone.
  [[nodiscard]] Reception try_pop(T& message, std::uint64_t& lost) noexcept {
    BroadcastView view;
    const Reception answer =
        ring_.try_pop(std::as_writable_bytes(std::span<T, 1>(&message, 1)), view);
    lost = view.lost;
    return answer;
  }

  [[nodiscard]] BasicBroadcastReader<Atomics>& ring() noexcept { return ring_; }

 private:
  BasicBroadcastReader<Atomics> ring_;
};

}  // namespace slipring

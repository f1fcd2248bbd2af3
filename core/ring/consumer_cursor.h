// What the consumer of a ring has looked at, finished and given back; the reading half that rings
// with one producer and one consumer have in common.
//
// Protocol.  Positions are the ring's own: slots or bytes.  `next` and what is held are private;
// the consumer's page shows them to others:
//   taken   stored as messages are handed out; tells a successor what may have been acted upon
//   done    stored as messages are finished; where successors of both ends start, and what a
//           producer asks before it believes that the ring is full
//   credit  done, stored rarely (each quarter lap, and when idle), on a line that only a full
//           producer reads
// Invariants: credit <= done <= taken <= done + capacity; all only grow.
//
// Crash.  Each store stands alone.  A consumer that dies between taken and done has these messages
// delivered again, marked; `taken` never goes back, so that the mark stays also for the successor
// of a successor.
//
// Ordering.  cursor.A -> cursor.B  credit: the producer overwrites only what has been read.
//            cursor.C -> cursor.D  done: a successor of the producer starts behind it.
//            cursor.E -> cursor.F  abort_before: who sees it sees the messages that it lets live.
// B, D and E are in producer_credit.h.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/cpu/atomics.h"
#include "core/error/check.h"
#include "core/error/result.h"
#include "core/ring/cursor_page.h"

namespace slipring {

// Messages read in a row, from which on a consumer that finds nothing is at the heels of a running
// producer: looking at the very line that is being written would cost both a line transfer a
// message.  Such a consumer pauses once and looks again before it answers kBlocked; one whose
// messages come singly answers at once.
inline constexpr std::uint64_t kRunMessages = 16;

template <typename Atomics>
void pause_at_heels() noexcept {
  for (int i = 0; i < 32; ++i) Atomics::pause();
}

// One thread at a time, as the ring's end that holds it.
template <typename Atomics>
class BasicConsumerCursor {
 public:
  // Takes over where the own page stands; what it shows below `start_position` is a fresh page.
  // Errors: kCorruptPeer when a predecessor has taken more than a whole ring.
  [[nodiscard]] static Result<BasicConsumerCursor> attach(ConsumerPage& own,
                                                          const ProducerPage& peer,
                                                          std::uint64_t start_position,
                                                          std::uint64_t capacity) noexcept {
    // relaxed: only our predecessor wrote them, and attaching ordered us after it.
    std::uint64_t done = Atomics::load(own.done, std::memory_order_relaxed);
    std::uint64_t taken = Atomics::load(own.taken, std::memory_order_relaxed);
    if (done < start_position) done = start_position;
    if (taken < done) taken = done;
    if (taken - done > capacity) {
      return Error{ErrorCode::kCorruptPeer, 0, "the cursor has taken more than a whole ring", taken,
                   done + capacity};
    }
    return BasicConsumerCursor(own, peer, done, taken, capacity);
  }

  // First position not yet handed out.
  [[nodiscard]] std::uint64_t next() const noexcept { return next_; }
  // First position not yet finished.
  [[nodiscard]] std::uint64_t done() const noexcept { return next_ - held_; }
  // The credit that the producer was last given; who wakes producers compares it.
  [[nodiscard]] std::uint64_t credit_given() const noexcept { return credit_given_; }
  // All between done() and here had been taken by a predecessor that did not finish it.
  [[nodiscard]] std::uint64_t redeliver_before() const noexcept { return redeliver_before_; }
  // First position that the producer still wants.
  [[nodiscard]] std::uint64_t abort_before() const noexcept {
    // cursor.F pairs with cursor.E
    return Atomics::load(peer_->abort_before, std::memory_order_acquire);
  }

  // Everything below `position` is handed out.  Requires: next() <= position.
  void take(std::uint64_t position) noexcept {
    held_ += position - next_;
    next_ = position;
    if (position <= redeliver_before_) return;
    // relaxed: read after our death only
    Atomics::store(own_->taken, position, std::memory_order_relaxed);
  }

  // Everything below `position` is finished.  Our own mistakes stop here.
  void release(std::uint64_t position) noexcept {
    check(position > done() && position <= next_, "release of what is not held");
    held_ = next_ - position;
    show_done(position);
  }

  // Takes and finishes everything below `position` in one store.  Requires: nothing is held.
  void pass(std::uint64_t position) noexcept {
    next_ = position;
    show_done(position);
  }

  // Takes and finishes everything below `position` at once, and gives it back.
  void skip_to(std::uint64_t position) noexcept {
    if (position > next_) take(position);
    held_ = next_ - position;
    show_done(position);
    give_credit();
  }

  // Gives the producer all that is finished.
  void give_credit() noexcept {
    if (credit_given_ == done()) return;
    credit_given_ = done();
    credit_due_ = credit_given_ + credit_step_;
    // cursor.A pairs with cursor.B
    Atomics::store(own_->credit, credit_given_, std::memory_order_release);
  }

 private:
  BasicConsumerCursor(ConsumerPage& own, const ProducerPage& peer, std::uint64_t done,
                      std::uint64_t taken, std::uint64_t capacity) noexcept
      : own_(&own),
        peer_(&peer),
        next_(done),
        redeliver_before_(taken),
        credit_step_(capacity / 4),
        credit_due_(credit_step_) {}

  void show_done(std::uint64_t position) noexcept {
    // cursor.C pairs with cursor.D
    Atomics::store(own_->done, position, std::memory_order_release);
    if (position >= credit_due_) [[unlikely]]
      give_credit();
  }

  ConsumerPage* own_;
  const ProducerPage* peer_;
  std::uint64_t next_;      // private: no scribble on any page moves us
  std::uint64_t held_ = 0;  // from done() to next_; one private store a message, not two
  std::uint64_t redeliver_before_;
  std::uint64_t credit_step_;
  std::uint64_t credit_due_;        // credit is given when done gets here
  std::uint64_t credit_given_ = 0;  // 0, so that the first idle moment shows a successor's credit
};

using ConsumerCursor = BasicConsumerCursor<StdAtomics>;

}  // namespace slipring

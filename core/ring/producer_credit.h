// How far the producer of a ring may write, and what it no longer wants; the writing half that
// rings with one producer and one consumer have in common.
//
// Protocol.  The consumer's credit is the position below which all is free.  It is read only when
// the credit seen last does not cover what is to be written: understating the free space is safe.
// Credit lags by up to a quarter of a lap; before a producer is told that the ring is full, it
// looks at `done`, the consumer's exact cursor, so that a blocked answer is true.  That takes the
// line from a consumer that writes it with every message: hence a pause first, in which a running
// consumer gives credit (measured: more messages a second than without exactness).
// Invariant: credit <= done <= published.  A consumer that claims more is corrupt, and may not make
// us overwrite what is unread.
//
// Crash.  Nothing here is stored but abort_before, in one piece.
//
// Ordering.  As consumer_cursor.h, where the other ends of cursor.B, cursor.D and cursor.E are.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/cpu/atomics.h"
#include "core/error/result.h"
#include "core/ring/cursor_page.h"
#include "core/ring/transfer.h"

namespace slipring {

// One thread at a time, as the ring's end that holds it.
template <typename Atomics>
class BasicProducerCredit {
 public:
  // Requires: published >= start_position.
  // Errors: kCorruptPeer when the consumer's cursor is not within a ring's length of `published`.
  [[nodiscard]] static Result<BasicProducerCredit> attach(ProducerPage& own,
                                                          const ConsumerPage& peer,
                                                          std::uint64_t start_position,
                                                          std::uint64_t published,
                                                          std::uint64_t capacity) noexcept {
    // cursor.D pairs with cursor.C
    std::uint64_t done = Atomics::load(peer.done, std::memory_order_acquire);
    if (done < start_position) done = start_position;
    if (done > published || published - done > capacity) {
      return Error{ErrorCode::kCorruptPeer, 0,
                   "the consumer's cursor is not within a ring's length", done, published};
    }
    return BasicProducerCredit(own, peer, done, capacity);
  }

  // Everything below is free, as far as we know.
  [[nodiscard]] std::uint64_t seen() const noexcept { return room_end_ - capacity_; }
  // The first position that may not be written, as far as we know.
  [[nodiscard]] std::uint64_t room_end() const noexcept { return room_end_; }
  // Whether all below `end` may be written, as far as we know.
  [[nodiscard]] bool covers(std::uint64_t end) const noexcept { return end <= room_end_; }

  // The same after a look at the consumer's page: kDone, kBlocked or kCorruptPeer.
  [[nodiscard]] Transfer look(std::uint64_t end, std::uint64_t published) noexcept {
    const Transfer answer = believe(read_credit(), end, published);
    if (answer != Transfer::kBlocked) return answer;
    for (std::uint32_t i = 0; i < pause_count_; ++i) Atomics::pause();
    const Transfer later = believe(read_credit(), end, published);
    if (later != Transfer::kBlocked) return later;
    return believe(read_done(), end, published);
  }

  // Whether look() would not answer kBlocked.  Changes nothing, so that a waiter may ask.
  [[nodiscard]] bool would_cover(std::uint64_t end, std::uint64_t published) const noexcept {
    return covers(end) || would_free(read_credit(), end, published) ||
           would_free(read_done(), end, published);
  }

  // The consumer's exact cursor, bounded by what we know to be possible.
  [[nodiscard]] std::uint64_t done(std::uint64_t published) const noexcept {
    const std::uint64_t done = read_done();
    if (done > published) return published;
    return done < seen() ? seen() : done;
  }

  // Nothing below `published` is wanted any more.
  void abort_before(std::uint64_t published) noexcept {
    // cursor.E pairs with cursor.F
    Atomics::store(own_->abort_before, published, std::memory_order_release);
  }

 private:
  BasicProducerCredit(ProducerPage& own, const ConsumerPage& peer, std::uint64_t done,
                      std::uint64_t capacity) noexcept
      : own_(&own),
        peer_(&peer),
        capacity_(capacity),
        room_end_(done + capacity),
        pause_count_(capacity < 128 * kMaxPauses ? static_cast<std::uint32_t>(capacity / 128)
                                                 : kMaxPauses) {}

  // Pauses of a producer that finds the ring full; fewer where a lap takes no longer than they do.
  static constexpr std::uint32_t kMaxPauses = 8;

  [[nodiscard]] std::uint64_t read_credit() const noexcept {
    return Atomics::load(peer_->credit, std::memory_order_acquire);  // cursor.B pairs with cursor.A
  }
  [[nodiscard]] std::uint64_t read_done() const noexcept {
    return Atomics::load(peer_->done, std::memory_order_acquire);  // cursor.D pairs with cursor.C
  }

  // Takes a position that the consumer says is free below.
  [[nodiscard]] Transfer believe(std::uint64_t free_below, std::uint64_t end,
                                 std::uint64_t published) noexcept {
    if (free_below > published) return Transfer::kCorruptPeer;
    // Credit is older than `done` after a take-over.
    if (free_below + capacity_ > room_end_) room_end_ = free_below + capacity_;
    return covers(end) ? Transfer::kDone : Transfer::kBlocked;
  }
  [[nodiscard]] bool would_free(std::uint64_t free_below, std::uint64_t end,
                                std::uint64_t published) const noexcept {
    return free_below > published || end <= free_below + capacity_;
  }

  ProducerPage* own_;
  const ConsumerPage* peer_;
  std::uint64_t capacity_;
  std::uint64_t room_end_;  // stale is safe: it only understates the free space
  std::uint32_t pause_count_;
};

using ProducerCredit = BasicProducerCredit<StdAtomics>;

}  // namespace slipring

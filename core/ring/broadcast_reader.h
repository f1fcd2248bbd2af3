// The reading end of a broadcast ring.  The protocol is told in core/ring/broadcast_ring.h.
//
// What a reader takes is checked by the slot's state alone, before and after; no other word of the
// writer's is believed without it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/cpu/atomics.h"
#include "core/error/check.h"
#include "core/error/result.h"
#include "core/ring/broadcast_page.h"
#include "core/ring/broadcast_sight.h"
#include "core/ring/broadcast_view.h"

namespace slipring {

// One thread at a time.
template <typename Atomics>
class BasicBroadcastReader {
 public:
  // Takes place `index` over at the cursor that its own page shows.  A predecessor that died as a
  // member leaves its membership; otherwise join() comes next.  The caller holds the role.
  // Errors: kInvalidArgument; kCorruptPeer when the own page's cursor is impossible.
  [[nodiscard]] static Result<BasicBroadcastReader> attach(
      BroadcastReaderPage& own, const BroadcastWriterPage& peer, const std::byte* slots,
      std::uint32_t index, const BroadcastGeometry& geometry) noexcept {
    if (Status valid = broadcast_validate(geometry); !valid) return valid.error();
    if (index >= geometry.reader_count) {
      return Error{ErrorCode::kInvalidArgument, 0, "no such place for a reader", index,
                   geometry.reader_count};
    }
    BasicBroadcastReader end(own, peer, slots, index, geometry);
    // relaxed: only our predecessor wrote the own page, and attaching ordered us after it.
    end.joined_ = Atomics::load(own.joined, std::memory_order_relaxed);
    end.lost_count_ = broadcast_detail::take_over_lost<Atomics>(own);
    if (broadcast_member(end.joined_) != BroadcastMember::kIn) {
      end.leave();  // one that died joining was never a member
      return end;
    }
    // relaxed: as above.
    const std::uint64_t done = Atomics::load(own.done, std::memory_order_relaxed);
    const std::uint64_t taken = Atomics::load(own.taken, std::memory_order_relaxed);
    const std::uint64_t credit = Atomics::load(own.credit, std::memory_order_relaxed);
    // It had seen what it finished published, and tail was one short of that at least.
    const std::uint64_t tail = end.sight_.load_tail();
    const std::uint64_t span = tail + 1 - geometry.start_position;
    if (done - geometry.start_position > span || taken - done > span ||
        credit - geometry.start_position > span) {
      return Error{ErrorCode::kCorruptPeer, 0, "the cursor is not within what was published", done,
                   tail};
    }
    end.next_ = done;
    end.done_ = done;
    end.redeliver_before_ = taken;
    end.safe_from_ = credit;
    end.credit_given_ = credit;
    return end;
  }

  // Becomes a member, at a position that is then safe from the writer as far as the policy goes.
  // After kEvicted, counts as lost what lies between.  Requires: not a member, or evicted; a writer
  // that takes its word back after kEvicted was answered changes nothing.
  // Errors: kCorruptPeer when the writer's words contradict each other.
  [[nodiscard]] Status join(BroadcastJoin at) noexcept {
    check(!is_member() || was_told_evicted_ || was_evicted(), "joining twice");
    const bool is_return = is_member();
    const std::uint64_t fresh = (joined_ / 4 + (joined_ % 4 == 0 ? 0 : 1)) * 4;
    joined_ = fresh + static_cast<std::uint64_t>(BroadcastMember::kJoining);
    // broadcast.K pairs with broadcast.J
    Atomics::store(own_->joined, joined_, std::memory_order_seq_cst);
    // A scan that does not see us stored this before, and never gives away what lies above it.
    // broadcast.L pairs with broadcast.I
    const std::uint64_t safe_from = Atomics::load(peer_->scan_at, std::memory_order_seq_cst);
    const std::uint64_t tail = sight_.load_tail();
    if (!sight_.has_published(tail) || tail - cut_.start() > kFarthest ||
        (safe_from != 0 && tail - safe_from > tail - cut_.start()) ||
        (is_return && tail - next_ > kFarthest)) {
      leave();
      return Error{ErrorCode::kCorruptPeer, 0, "the writer's positions contradict its slots", tail,
                   safe_from};
    }
    std::uint64_t next = tail;
    if (at == BroadcastJoin::kOldest) {
      next = sight_.oldest(tail);
      // What had been delivered before stays delivered.
      if (is_return && tail - next > tail - next_) next = next_;
    }
    begin(next, next - cut_.start() < safe_from - cut_.start() && safe_from != 0 ? safe_from : next,
          is_return);
    return {};
  }

  // Gives the membership up; the writer waits for us no longer.  What is held is no longer safe.
  void leave() noexcept {
    if (joined_ % 4 != 0) joined_ = (joined_ / 4 + 1) * 4;
    // broadcast.N pairs with broadcast.J
    Atomics::store(own_->joined, joined_, std::memory_order_release);
  }

  // Looks at the next message without copying it.  Several may be held at once.
  [[nodiscard]] Reception try_peek(BroadcastView& view) noexcept {
    if (const Reception answer = locate(); answer != Reception::kDone) return answer;
    describe(view);
    view.message = {sight_.payload_at(next_), slot_bytes_};
    mark_taken(++next_);
    return Reception::kDone;
  }

  // Copies the next message out, as much of it as `message` holds, whole or not at all, and
  // finishes it and all before it.  `view` tells about it; its `message` is the copy.
  // Memory ordering: what the writer did before publishing it is visible.
  [[nodiscard, gnu::always_inline]] Reception try_pop(std::span<std::byte> message,
                                                      BroadcastView& view) noexcept {
    if (message.size() > slot_bytes_) message = message.first(slot_bytes_);
    for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
      if (const Reception answer = locate(); answer != Reception::kDone) return answer;
      mark_taken(next_ + 1);
      broadcast_detail::load_words<Atomics>(message, sight_.payload_at(next_));
      if (!sight_.is_unchanged(next_)) continue;  // overtaken while copying
      describe(view);
      view.message = message;
      finish(++next_);
      return Reception::kDone;
    }
    return Reception::kBlocked;  // a writer that laps us faster than we copy
  }

  // Whether a view held all the time since it was peeked what it still holds.  To be asked after
  // the last look at it.
  [[nodiscard]] bool is_still_valid(const BroadcastView& view) const noexcept {
    return sight_.is_unchanged(view.position);
  }

  // Copies a message that was peeked, as much of it as `message` holds; false when it has been
  // overwritten, and `message` then holds nothing.  Unlike looking at view.message, it never races
  // with the writer.
  [[nodiscard]] bool copy_out(const BroadcastView& view,
                              std::span<std::byte> message) const noexcept {
    if (message.size() > slot_bytes_) message = message.first(slot_bytes_);
    broadcast_detail::load_words<Atomics>(message, sight_.payload_at(view.position));
    return sight_.is_unchanged(view.position);
  }

  // Finishes `view` and everything before it.  One that a loss has left behind is finished already.
  void release(const BroadcastView& view) noexcept {
    check(next_ - view.position - 1 < next_ - cut_.start(), "release of what was never held");
    if (next_ - view.position > next_ - done_) return;
    finish(view.position + 1);
  }

  // Goes on at `position`, back or forward, as if all before it were finished and nothing of it
  // lost. False if it has not been published.
  [[nodiscard]] bool go_to(std::uint64_t position) noexcept {
    check(is_member(), "going somewhere without having joined");
    if (position - cut_.start() > sight_.load_tail() - cut_.start()) return false;
    // What was given back may have been overwritten since.
    if (credit_given_ - safe_from_ < kFarthest) safe_from_ = credit_given_;
    lost_before_next_ = 0;
    next_ = position;
    leave_behind(position);
    return true;
  }

  // Whether try_peek() might not answer kBlocked, or would count a loss.  Changes nothing, so that
  // a waiter may ask.
  [[nodiscard]] bool has_message() const noexcept {
    // broadcast.B pairs with broadcast.A
    const std::uint64_t state = Atomics::load(sight_.state_at(next_), std::memory_order_acquire);
    if (state == cut_.published(next_) || was_evicted()) return true;
    const std::uint64_t missing = sight_.load_missing();
    return !sight_.is_yet_to_come(state, next_, missing) || may_pass_to(missing);
  }

  // Finishes all that the writer has aborted, in one step; answers how many messages were skipped,
  // none of which counts as lost.  Requires: nothing is held.
  std::uint64_t skip_aborted() noexcept {
    check(next_ == done_, "skipping while messages are held");
    const std::uint64_t fence = sight_.load_abort();
    if (fence - next_ - 1 >= kFarthest || fence - cut_.start() >= kFarthest) return 0;
    // A fence beyond what is published is a lie, and following it would lose what comes.
    if (!sight_.has_published(fence)) return 0;
    const std::uint64_t skipped = fence - next_;
    next_ = fence;
    mark_taken(next_);
    finish(next_);
    publish_credit();
    return skipped;
  }

  // Gives the writer all that is finished; before sleeping, for instance.
  void publish_credit() noexcept {
    if (done_ - credit_given_ - 1 >= kFarthest) return;  // nothing more, or not yet there
    credit_given_ = done_;
    // broadcast.G pairs with broadcast.H
    Atomics::store(own_->credit, done_, std::memory_order_release);
  }

  [[nodiscard]] bool is_member() const noexcept {
    return broadcast_member(joined_) == BroadcastMember::kIn;
  }
  // Whether the writer has stopped waiting for this membership.
  [[nodiscard]] bool was_evicted() const noexcept {
    // broadcast.U pairs with broadcast.T
    return is_gated_ && is_member() &&
           Atomics::load(peer_->put_out[index_], std::memory_order_acquire) ==
               broadcast_membership(joined_);
  }
  [[nodiscard]] std::uint64_t position() const noexcept { return next_; }
  [[nodiscard]] std::uint64_t done() const noexcept { return done_; }
  // Every message that this place was owed and did not get, its predecessors' included: a loss that
  // one of them went past and did not live to tell is told here alone.  Exact over deaths, but that
  // a death in join() after kEvicted leaves the whole of that loss counted, or none of it.
  [[nodiscard]] std::uint64_t lost_count() const noexcept { return lost_count_; }
  [[nodiscard]] BroadcastPolicy policy() const noexcept { return policy_; }
  [[nodiscard]] std::uint32_t slot_bytes() const noexcept { return slot_bytes_; }
  // The credit that the writer was last given; who wakes a writer compares it.
  [[nodiscard]] std::uint64_t credit_given() const noexcept { return credit_given_; }
  // Whether the writer has aborted something that is not finished yet, held messages included.
  [[nodiscard]] bool has_abort() const noexcept {
    return sight_.load_abort() - done_ - 1 < kFarthest;
  }
  // First position still wanted, as the writer says; 0 before the first abort.
  [[nodiscard]] std::uint64_t abort_before() const noexcept { return sight_.load_abort(); }

 private:
  static constexpr std::uint64_t kFarthest = kFarthestBroadcast;
  static constexpr int kMaxAttempts = 4;

  BasicBroadcastReader(BroadcastReaderPage& own, const BroadcastWriterPage& peer,
                       const std::byte* slots, std::uint32_t index,
                       const BroadcastGeometry& geometry) noexcept
      : own_(&own),
        peer_(&peer),
        sight_(peer, slots, geometry),
        cut_(geometry),
        slot_bytes_(geometry.slot_bytes),
        index_(index),
        policy_(geometry.policy),
        is_gated_(geometry.policy != BroadcastPolicy::kOverwrite),
        credit_step_((geometry.policy == BroadcastPolicy::kEvict ? geometry.lag_limit
                                                                 : geometry.slot_count) /
                     4),
        next_(geometry.start_position),
        done_(geometry.start_position),
        redeliver_before_(geometry.start_position),
        credit_given_(geometry.start_position) {}

  // Finds the next message, leaving behind what has been overwritten.
  [[nodiscard]] Reception locate() noexcept {
    check(is_member(), "reading without having joined");
    // broadcast.B pairs with broadcast.A
    const std::uint64_t state = Atomics::load(sight_.state_at(next_), std::memory_order_acquire);
    if (state != cut_.published(next_) || (is_gated_ && (was_evicted() || holds_all())))
        [[unlikely]] {
      return locate_slowly();
    }
    return Reception::kDone;
  }

  // The same with all that may be in the way.  Bounded.
  [[nodiscard, gnu::noinline]] Reception locate_slowly() noexcept {
    for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
      // broadcast.B pairs with broadcast.A
      const std::uint64_t state = Atomics::load(sight_.state_at(next_), std::memory_order_acquire);
      // Looked at after the state: who sees a slot overwritten sees that it was put out before.
      if (was_evicted()) {
        was_told_evicted_ = true;
        return Reception::kEvicted;
      }
      if (state == cut_.published(next_) && !holds_all()) return Reception::kDone;
      const std::uint64_t missing = sight_.load_missing();
      if (holds_all() || sight_.is_yet_to_come(state, next_, missing)) {
        if (may_pass_to(missing)) {
          // Looked at again: it may be there by now.
          leave_behind(sight_.past_missing(next_, missing, missing));
          continue;
        }
        publish_credit();  // idle: nobody gains from our keeping it back
        return Reception::kBlocked;
      }
      if (!cut_.may_follow(state, next_) || !jump(state)) return Reception::kCorruptPeer;
    }
    return Reception::kBlocked;
  }

  // Whether to pass over up to `missing`.  Not while something is held that the writer waits for.
  [[nodiscard]] bool may_pass_to(std::uint64_t missing) const noexcept {
    return missing - next_ - 1 < kFarthest && missing - cut_.start() < kFarthest &&
           (!is_gated_ || next_ == done_);
  }
  // What lies before `target` is lost.
  void leave_behind(std::uint64_t target) noexcept {
    count_lost_before(target);
    next_ = target;
    mark_taken(next_);
    finish(next_);
  }

  // A reader that the writer waits for must let go before it looks at the next lap.
  [[nodiscard]] bool holds_all() const noexcept {
    return is_gated_ && next_ - done_ >= cut_.count();
  }
  // Whether the writer may not overwrite what lies at the next position.
  [[nodiscard]] bool is_safe() const noexcept {
    return is_gated_ && is_member() && next_ - safe_from_ < kFarthest;
  }

  // The next message has been overwritten, as `state` proves: leaves it behind, with all others
  // that are gone and an eighth of the ring for a head start.  False when the writer's words
  // contradict each other, or it has overwritten what it had to wait for.
  [[nodiscard]] bool jump(std::uint64_t state) noexcept {
    if (is_safe()) return false;
    std::uint64_t tail = cut_.proven_tail(state);
    // Nobody publishes so many; `taken`, which is compared by distance, would stay behind.
    if (tail - cut_.start() >= kFarthest) return false;
    const std::uint64_t told = sight_.load_tail();
    if (told + 1 != tail && told - tail >= kFarthest) return false;
    if (told - tail < cut_.count()) tail = told;  // the slots confirm it, or the next round does
    std::uint64_t target = tail - cut_.count() + 1 + cut_.count() / 8;
    if (is_gated_ && is_member() && target - safe_from_ < kFarthest) target = safe_from_;
    leave_behind(target);
    return true;
  }

  // `done` has to reach `position` next.
  void count_lost_before(std::uint64_t position) noexcept {
    const std::uint64_t count = position - next_;
    broadcast_detail::store_lost<Atomics>(*own_, lost_count_, position, lost_count_ + count);
    lost_before_next_ += count;
    lost_count_ += count;
  }

  void describe(BroadcastView& view) noexcept {
    view.position = next_;
    view.lost = lost_before_next_;
    view.redelivered = redeliver_before_ - next_ - 1 < kFarthest;
    view.aborted = sight_.load_abort() - next_ - 1 < kFarthest;
    view.is_stable = policy_ == BroadcastPolicy::kBlock && is_safe();
    lost_before_next_ = 0;
  }
  // Never backwards: what a predecessor had taken stays taken until it is finished.
  void mark_taken(std::uint64_t position) noexcept {
    if (position - redeliver_before_ - 1 >= kFarthest) return;
    // relaxed: read after our death only
    Atomics::store(own_->taken, position, std::memory_order_relaxed);
  }
  void finish(std::uint64_t position) noexcept {
    done_ = position;
    // broadcast.R pairs with broadcast.S
    Atomics::store(own_->done, done_, std::memory_order_release);
    if (done_ - credit_given_ >= credit_step_) publish_credit();
  }

  void begin(std::uint64_t next, std::uint64_t safe_from, bool is_return) noexcept {
    if (!is_return) lost_before_next_ = 0;
    if (!is_return) next_ = next;
    count_lost_before(next);
    was_told_evicted_ = false;
    next_ = next;
    done_ = next;
    // What a dead predecessor had taken stays taken, though the writer has put it out.
    if (!is_return || redeliver_before_ - next >= kFarthest) redeliver_before_ = next;
    safe_from_ = safe_from;
    credit_given_ = safe_from;
    // relaxed, all: the store below publishes them to the writer, and to a successor its attaching.
    Atomics::store(own_->taken, redeliver_before_, std::memory_order_relaxed);
    Atomics::store(own_->done, next, std::memory_order_relaxed);
    Atomics::store(own_->credit, safe_from, std::memory_order_relaxed);
    joined_ += 1;
    // broadcast.M pairs with broadcast.J
    Atomics::store(own_->joined, joined_, std::memory_order_release);
  }

  BroadcastReaderPage* own_;
  const BroadcastWriterPage* peer_;
  BasicBroadcastSight<Atomics> sight_;
  BroadcastCut cut_;
  std::uint32_t slot_bytes_;
  std::uint32_t index_;
  BroadcastPolicy policy_;
  bool is_gated_;                  // the policy makes the writer wait for members, or put them out
  bool was_told_evicted_ = false;  // private: what the writer says later does not undo it
  std::uint64_t credit_step_;      // credit is given for so many messages, or when idle
  std::uint64_t joined_ = 0;
  std::uint64_t next_;  // first position not yet looked at
  std::uint64_t done_;  // first position not yet finished
  std::uint64_t redeliver_before_;
  std::uint64_t credit_given_;
  std::uint64_t safe_from_ = 0;  // what lies below was never promised to us
  std::uint64_t lost_before_next_ = 0;
  std::uint64_t lost_count_ = 0;
};

using BroadcastReader = BasicBroadcastReader<StdAtomics>;

}  // namespace slipring

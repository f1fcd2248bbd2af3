// One producer, one consumer, slots of a fixed size, in shared memory.
//
// Protocol.  A slot is a sequence word followed by the payload, so that publishing a message and
// seeing it costs one line transfer.  The message at position p lies in slot p % slot_count and is
// there when the slot's sequence is p + 1.  The producer overwrites a slot only after the
// consumer's credit has passed the position that the slot still holds.
//   producer's page: slots, tail (how far it has published; for observers), abort_before
//   consumer's page: credit (polled by a full producer, stored rarely), and on a line that nobody
//                    polls done and taken (the exact cursor, for the consumer's successor)
// Invariants: credit <= done <= taken <= published <= done + slot_count; all only grow.  tail is
// one off `published` only while a commit is under way, or after a death in one.
// Each side keeps its own position privately: a peer that scribbles cannot move it.
//
// Abort.  abort_before marks everything before that position as no longer wanted; the consumer
// learns it at its next peek and can leave it all behind in one step.
//
// Crash.  A producer that dies before slot.A leaves nothing visible; its successor finds the first
// slot without a current sequence.  A consumer that dies between taken and done has these messages
// delivered again to its successor, marked `redelivered`.
//
// Ordering.  slot.A -> slot.B  publish: who sees the sequence sees the payload.
//            slot.C -> slot.D  credit: the producer overwrites only what has been read.
//            slot.E -> slot.F  done: a successor of either side starts behind what is finished.
//            slot.G -> slot.H  abort_before: who sees it sees the messages that it lets live.
// The idea of keeping the signal in the data's line is FastForward's (Giacomoni et al., PPoPP
// 2008).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "core/cpu/cache_line.h"
#include "core/error/check.h"
#include "core/error/result.h"
#include "core/ring/cursor_page.h"
#include "core/ring/transfer.h"

namespace slipring {

// Limits that keep every size computation inside 64 bits.
inline constexpr std::uint64_t kMaxSlotCount = std::uint64_t{1} << 32;
inline constexpr std::uint32_t kMaxSlotBytes = 1U << 20;

// Where a ring lies and how it is cut.  The memory must outlive the ends and be zero when the first
// producer attaches.
struct SlotGeometry {
  std::uint64_t slot_count;      // a power of two, 2 to kMaxSlotCount
  std::uint32_t slot_bytes;      // payload of a slot, 1 to kMaxSlotBytes
  std::uint64_t start_position;  // the first message's position; below 2^63
};

// Bytes from one slot to the next: the sequence word and the payload, small slots packed into
// lines, large ones starting on a line of their own.
[[nodiscard]] constexpr std::uint64_t slot_stride_bytes(std::uint32_t slot_bytes) noexcept {
  const std::uint64_t whole = std::uint64_t{slot_bytes} + 8;
  if (whole <= 16) return 16;
  if (whole <= 32) return 32;
  return (whole + kCacheLineBytes - 1) / kCacheLineBytes * kCacheLineBytes;
}

[[nodiscard]] constexpr std::uint64_t slot_slots_bytes(const SlotGeometry& geometry) noexcept {
  return geometry.slot_count * slot_stride_bytes(geometry.slot_bytes);
}

// Errors: kInvalidArgument with the offending value.
[[nodiscard]] inline Status slot_validate(const SlotGeometry& geometry) noexcept {
  const std::uint64_t count = geometry.slot_count;
  if (count < 2 || count > kMaxSlotCount || (count & (count - 1)) != 0) {
    return Error{ErrorCode::kInvalidArgument, 0, "slot count is not a power of two from 2 to 2^32",
                 count, kMaxSlotCount};
  }
  if (geometry.slot_bytes == 0 || geometry.slot_bytes > kMaxSlotBytes) {
    return Error{ErrorCode::kInvalidArgument, 0, "slot size is not from 1 byte to 1 MiB",
                 geometry.slot_bytes, kMaxSlotBytes};
  }
  if (geometry.start_position >> 63 != 0) {
    return Error{ErrorCode::kInvalidArgument, 0, "start position is not below 2^63",
                 geometry.start_position, 0};
  }
  return {};
}

// The producer's end.  One thread at a time.
class SlotProducer {
 public:
  // Takes the producing role over at the position that the memory shows.  The caller holds the role
  // (certificate of death of a predecessor, or fresh memory).  Errors: kInvalidArgument;
  // kCorruptPeer when the consumer's cursor and the slots contradict each other.
  [[nodiscard]] static Result<SlotProducer> attach(ProducerPage& own, std::byte* slots,
                                                   const ConsumerPage& peer,
                                                   const SlotGeometry& geometry) noexcept {
    if (Status valid = slot_validate(geometry); !valid) return valid.error();
    SlotProducer end(own, slots, peer, geometry);
    // relaxed: only our predecessor wrote tail and the sequences, and attaching ordered us after
    // it. It may have died with tail one ahead of or one behind the sequences; the sequences
    // decide.
    std::uint64_t position = own.tail.load(std::memory_order_relaxed);
    if (position < geometry.start_position) position = geometry.start_position;
    if (position > geometry.start_position && !end.is_published(position - 1)) --position;
    if (end.is_published(position)) ++position;
    // slot.F pairs with slot.E.
    std::uint64_t done = peer.done.load(std::memory_order_acquire);
    if (done < geometry.start_position) done = geometry.start_position;
    if (done > position || position - done > geometry.slot_count) {
      return Error{ErrorCode::kCorruptPeer, 0,
                   "the consumer's cursor is not within a ring's length", done, position};
    }
    for (std::uint64_t i = done; i != position; ++i) {
      if (end.is_published(i)) continue;
      return Error{ErrorCode::kCorruptPeer, 0, "a slot below tail was never published", i,
                   position};
    }
    end.position_ = position;
    end.credit_seen_ = done;
    own.tail.store(position, std::memory_order_relaxed);  // relaxed: observers only
    return end;
  }

  // The next slot to fill, valid until commit().  Calling it again without commit() gives the same
  // slot.
  [[nodiscard]] Transfer try_reserve(std::span<std::byte>& slot) noexcept {
    if (position_ - credit_seen_ >= count_) {
      // slot.D pairs with slot.C.
      const std::uint64_t credit = peer_->credit.load(std::memory_order_acquire);
      // An older credit than `done` is ordinary after a take-over.  One beyond our own position is
      // impossible, and may not make us overwrite what is unread.
      if (credit > position_) return Transfer::kCorruptPeer;
      if (credit > credit_seen_) credit_seen_ = credit;
      if (position_ - credit_seen_ >= count_) return Transfer::kBlocked;
    }
    slot = {payload_at(position_), slot_bytes_};
    return Transfer::kDone;
  }

  // Publishes the reserved slot.  Memory ordering: what was written to the slot before commit() is
  // visible to the consumer whose try_peek() returns it.
  void commit() noexcept {
    sequence_at(position_).store(position_ + 1,
                                 std::memory_order_release);  // slot.A pairs with slot.B
    ++position_;
    // relaxed: observers, and a successor that asks the sequences first.
    own_->tail.store(position_, std::memory_order_relaxed);
  }

  // Whether try_reserve() would not answer kBlocked.  Changes nothing, so that a waiter may ask.
  [[nodiscard]] bool has_space() const noexcept {
    if (position_ - credit_seen_ < count_) return true;
    const std::uint64_t credit =
        peer_->credit.load(std::memory_order_acquire);  // slot.D pairs with slot.C
    return credit > position_ || (credit > credit_seen_ && position_ - credit < count_);
  }

  // Copies one message of at most slot_bytes in and publishes it.
  [[nodiscard]] Transfer try_push(std::span<const std::byte> message) noexcept {
    check(message.size() <= slot_bytes_, "a message larger than the slot");
    std::span<std::byte> slot;
    if (const Transfer answer = try_reserve(slot); answer != Transfer::kDone) return answer;
    if (!message.empty()) std::memcpy(slot.data(), message.data(), message.size());
    commit();
    return Transfer::kDone;
  }

  // Everything published so far is no longer wanted; the consumer may skip it in one step.
  void abort_published() noexcept {
    own_->abort_before.store(position_, std::memory_order_release);  // slot.G pairs with slot.H
  }

  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
  [[nodiscard]] std::uint64_t slot_count() const noexcept { return count_; }
  [[nodiscard]] std::uint32_t slot_bytes() const noexcept { return slot_bytes_; }

  // A message that has been published and not yet finished by the consumer, for a successor that
  // has to know what is under way.  Requires: done() <= wanted < position().
  [[nodiscard]] std::span<const std::byte> published(std::uint64_t wanted) const noexcept {
    return {payload_at(wanted), slot_bytes_};
  }
  // The consumer's exact cursor, bounded by what we know to be possible.
  [[nodiscard]] std::uint64_t done() const noexcept {
    const std::uint64_t done =
        peer_->done.load(std::memory_order_acquire);  // slot.F pairs with slot.E
    if (done > position_) return position_;
    return done < credit_seen_ ? credit_seen_ : done;
  }

 private:
  SlotProducer(ProducerPage& own, std::byte* slots, const ConsumerPage& peer,
               const SlotGeometry& geometry) noexcept
      : own_(&own),
        slots_(slots),
        peer_(&peer),
        count_(geometry.slot_count),
        stride_(slot_stride_bytes(geometry.slot_bytes)),
        slot_bytes_(geometry.slot_bytes) {}

  [[nodiscard]] bool is_published(std::uint64_t position) const noexcept {
    // relaxed: only producers write sequences, and attaching ordered us after our predecessor.
    return sequence_at(position).load(std::memory_order_relaxed) == position + 1;
  }
  [[nodiscard]] std::byte* payload_at(std::uint64_t position) const noexcept {
    return slots_ + (position & (count_ - 1)) * stride_ + 8;
  }
  [[nodiscard]] std::atomic<std::uint64_t>& sequence_at(std::uint64_t position) const noexcept {
    return *reinterpret_cast<std::atomic<std::uint64_t>*>(payload_at(position) - 8);
  }

  ProducerPage* own_;
  std::byte* slots_;
  const ConsumerPage* peer_;
  std::uint64_t count_;
  std::uint64_t stride_;
  std::uint32_t slot_bytes_;
  std::uint64_t position_ = 0;     // private: a scribbled page cannot move our writes
  std::uint64_t credit_seen_ = 0;  // stale is safe: it only understates the free space
};

// A message in place.  `message` is valid until it is released.
struct SlotView {
  std::span<const std::byte> message;
  std::uint64_t position = 0;
  bool redelivered = false;  // a predecessor had taken it and not finished it
  bool aborted = false;      // the producer no longer wants it
};

// The consumer's end.  One thread at a time.
class SlotConsumer {
 public:
  // Takes the consuming role over at the cursor that its own page shows.
  // Errors: kInvalidArgument; kCorruptPeer when the own page's cursor is impossible.
  [[nodiscard]] static Result<SlotConsumer> attach(ConsumerPage& own, const ProducerPage& peer,
                                                   const std::byte* slots,
                                                   const SlotGeometry& geometry) noexcept {
    if (Status valid = slot_validate(geometry); !valid) return valid.error();
    // relaxed: only our predecessor wrote them, and attaching ordered us after it.
    std::uint64_t done = own.done.load(std::memory_order_relaxed);
    std::uint64_t taken = own.taken.load(std::memory_order_relaxed);
    if (done < geometry.start_position) done = geometry.start_position;
    if (taken < done) taken = done;
    if (taken - done > geometry.slot_count) {
      return Error{ErrorCode::kCorruptPeer, 0, "the cursor has taken more than a whole ring", taken,
                   done + geometry.slot_count};
    }
    // relaxed: who finished a message had seen its sequence (slot.B), and tail was one short of it
    // at least.  A producer in the middle of its first commit has not stored tail at all.
    std::uint64_t tail = peer.tail.load(std::memory_order_relaxed);
    if (tail < geometry.start_position) tail = geometry.start_position;
    if (done > tail && done - tail > 1) {
      return Error{ErrorCode::kCorruptPeer, 0, "the cursor has finished what was never published",
                   done, tail};
    }
    return SlotConsumer(own, peer, slots, geometry, done, taken);
  }

  // Looks at the next message without copying it.  Several may be held at once.
  [[nodiscard]] Transfer try_peek(SlotView& view) noexcept {
    const std::byte* slot = slots_ + (next_ & (count_ - 1)) * stride_;
    const auto& word = *reinterpret_cast<const std::atomic<std::uint64_t>*>(slot);
    const std::uint64_t sequence =
        word.load(std::memory_order_acquire);  // slot.B pairs with slot.A
    if (sequence != next_ + 1 || next_ - done_ == count_) [[unlikely]] {
      if (!is_empty_sequence(sequence)) return Transfer::kCorruptPeer;
      publish_credit();  // idle: nobody gains from our keeping it back
      return Transfer::kBlocked;
    }
    // slot.H pairs with slot.G.
    const std::uint64_t abort_before = peer_->abort_before.load(std::memory_order_acquire);
    view = {{slot + 8, slot_bytes_}, next_, next_ < redeliver_before_, next_ < abort_before};
    ++next_;
    mark_taken();
    return Transfer::kDone;
  }

  // Whether try_peek() would not answer kBlocked.  Changes nothing, so that a waiter may ask.
  [[nodiscard]] bool has_message() const noexcept {
    const auto& word = *reinterpret_cast<const std::atomic<std::uint64_t>*>(
        slots_ + (next_ & (count_ - 1)) * stride_);
    const std::uint64_t sequence =
        word.load(std::memory_order_acquire);  // slot.B pairs with slot.A
    return !is_empty_sequence(sequence);
  }

  // Finishes `view` and everything before it.
  void release(const SlotView& view) noexcept {
    check(view.position >= done_ && view.position < next_, "release of what is not held");
    done_ = view.position + 1;
    own_->done.store(done_, std::memory_order_release);  // slot.E pairs with slot.F
    if (done_ - credit_given_ >= count_ / 4) publish_credit();
  }

  // Finishes all that the producer has aborted, in one step; 0 when nothing was.  Answers how many
  // messages were skipped.  Requires: nothing is held.
  std::uint64_t skip_aborted() noexcept {
    check(next_ == done_, "skipping while messages are held");
    // slot.H pairs with slot.G.
    const std::uint64_t abort_before = peer_->abort_before.load(std::memory_order_acquire);
    if (abort_before <= next_ || abort_before - next_ > count_) return 0;
    // A fence beyond what is published is a lie, and following it would lose what comes.
    // relaxed: slot.H has made visible what was published before an honest fence.
    const auto& last = *reinterpret_cast<const std::atomic<std::uint64_t>*>(
        slots_ + ((abort_before - 1) & (count_ - 1)) * stride_);
    if (last.load(std::memory_order_relaxed) != abort_before) return 0;
    const std::uint64_t skipped = abort_before - next_;
    next_ = abort_before;
    mark_taken();
    done_ = next_;
    own_->done.store(done_, std::memory_order_release);  // slot.E pairs with slot.F
    publish_credit();
    return skipped;
  }

  // Gives the producer all that is finished; before sleeping, for instance.
  void publish_credit() noexcept {
    if (credit_given_ == done_) return;
    credit_given_ = done_;
    own_->credit.store(done_, std::memory_order_release);  // slot.C pairs with slot.D
  }

  // Copies the next message out, as much of it as `message` holds, and finishes it.
  [[nodiscard]] Transfer try_pop(std::span<std::byte> message) noexcept {
    SlotView view;
    if (const Transfer answer = try_peek(view); answer != Transfer::kDone) return answer;
    const std::size_t size = message.size() < slot_bytes_ ? message.size() : slot_bytes_;
    if (size != 0) std::memcpy(message.data(), view.message.data(), size);
    release(view);
    return Transfer::kDone;
  }

  [[nodiscard]] std::uint64_t position() const noexcept { return next_; }
  [[nodiscard]] std::uint64_t done() const noexcept { return done_; }
  // Whether the producer has aborted something that is not finished yet, held messages included.
  [[nodiscard]] bool has_abort() const noexcept {
    // slot.H pairs with slot.G.
    return peer_->abort_before.load(std::memory_order_acquire) > done_;
  }
  // The credit that the producer was last given; who wakes producers compares it.
  [[nodiscard]] std::uint64_t credit_given() const noexcept { return credit_given_; }

 private:
  SlotConsumer(ConsumerPage& own, const ProducerPage& peer, const std::byte* slots,
               const SlotGeometry& geometry, std::uint64_t done, std::uint64_t taken) noexcept
      : own_(&own),
        peer_(&peer),
        slots_(slots),
        count_(geometry.slot_count),
        stride_(slot_stride_bytes(geometry.slot_bytes)),
        slot_bytes_(geometry.slot_bytes),
        start_(geometry.start_position),
        next_(done),
        done_(done),
        redeliver_before_(taken) {}

  // Never backwards: what a predecessor had taken stays taken until it is finished, also for the
  // successor of a successor.
  void mark_taken() noexcept {
    if (next_ <= redeliver_before_) return;
    own_->taken.store(next_, std::memory_order_relaxed);  // relaxed: read after our death only
  }

  // Whether a correct producer leaves this in the next slot while that holds nothing for us: the
  // lap before, or nothing yet.  With every slot held, the lap before is what we hold.
  [[nodiscard]] bool is_empty_sequence(std::uint64_t sequence) const noexcept {
    return next_ - start_ < count_ ? sequence == 0 : sequence == next_ + 1 - count_;
  }

  ConsumerPage* own_;
  const ProducerPage* peer_;
  const std::byte* slots_;
  std::uint64_t count_;
  std::uint64_t stride_;
  std::uint32_t slot_bytes_;
  std::uint64_t start_;
  std::uint64_t next_;  // first position not yet looked at
  std::uint64_t done_;  // first position not yet finished
  std::uint64_t redeliver_before_;
  std::uint64_t credit_given_ = 0;
};

}  // namespace slipring

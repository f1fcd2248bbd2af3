// One producer, one consumer, slots of a fixed size, in shared memory.
//
// Protocol.  A slot is a sequence word followed by the payload, so that publishing a message and
// seeing it costs one line transfer.  The message at position p lies in slot p % slot_count and is
// there when the slot's sequence is p + 1.  The producer overwrites a slot only after the
// consumer's credit has passed the position that the slot still holds.
//   producer's page: tail (how far it has published; for observers), abort_before
//   producer's bytes: the slots
//   consumer's page: credit, done and taken, as consumer_cursor.h says
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
//            Reuse, take-over and abort: cursor.A to cursor.F in consumer_cursor.h.
// The idea of keeping the signal in the data's line is FastForward's (Giacomoni et al., PPoPP
// 2008).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "core/cpu/atomics.h"
#include "core/cpu/cache_line.h"
#include "core/error/check.h"
#include "core/error/result.h"
#include "core/ring/consumer_cursor.h"
#include "core/ring/cursor_page.h"
#include "core/ring/message_copy.h"
#include "core/ring/producer_credit.h"
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

namespace slot_detail {

// Where the slots lie; Byte is const for the consumer, whose mapping is read-only.
template <typename Byte>
class SlotPlaces {
 public:
  SlotPlaces(Byte* slots, const SlotGeometry& geometry) noexcept
      : slots_(slots),
        mask_(geometry.slot_count - 1),
        stride_(slot_stride_bytes(geometry.slot_bytes)),
        slot_bytes_(geometry.slot_bytes) {}

  [[nodiscard]] auto& sequence_at(std::uint64_t position) const noexcept {
    using Word = std::conditional_t<std::is_const_v<Byte>, const std::atomic<std::uint64_t>,
                                    std::atomic<std::uint64_t>>;
    return *reinterpret_cast<Word*>(slots_ + (position & mask_) * stride_);
  }
  [[nodiscard]] std::span<Byte> payload_at(std::uint64_t position) const noexcept {
    return {slots_ + (position & mask_) * stride_ + 8, slot_bytes_};
  }
  [[nodiscard]] std::uint64_t slot_count() const noexcept { return mask_ + 1; }
  [[nodiscard]] std::uint32_t slot_bytes() const noexcept { return slot_bytes_; }

 private:
  Byte* slots_;
  std::uint64_t mask_;
  std::uint64_t stride_;
  std::uint32_t slot_bytes_;
};

}  // namespace slot_detail

// The producer's end.  One thread at a time.
template <typename Atomics>
class BasicSlotProducer {
 public:
  // Takes the producing role over at the position that the memory shows.  The caller holds the role
  // (certificate of death of a predecessor, or fresh memory).  Errors: kInvalidArgument;
  // kCorruptPeer when the consumer's cursor and the slots contradict each other.
  [[nodiscard]] static Result<BasicSlotProducer> attach(ProducerPage& own, std::byte* slots,
                                                        const ConsumerPage& peer,
                                                        const SlotGeometry& geometry) noexcept {
    if (Status valid = slot_validate(geometry); !valid) return valid.error();
    const Places places(slots, geometry);
    const auto is_published = [&places](std::uint64_t wanted) {
      // relaxed: only producers write sequences, and attaching ordered us after our predecessor.
      return Atomics::load(places.sequence_at(wanted), std::memory_order_relaxed) == wanted + 1;
    };
    // relaxed: only our predecessor wrote tail and the sequences, and attaching ordered us after
    // it. It may have died with tail one ahead of or one behind the sequences; the sequences
    // decide.
    std::uint64_t position = Atomics::load(own.tail, std::memory_order_relaxed);
    if (position < geometry.start_position) position = geometry.start_position;
    if (position > geometry.start_position && !is_published(position - 1)) --position;
    if (is_published(position)) ++position;
    Result<Credit> credit =
        Credit::attach(own, peer, geometry.start_position, position, geometry.slot_count);
    if (!credit) return credit.error();
    for (std::uint64_t i = credit.value().seen(); i != position; ++i) {
      if (is_published(i)) continue;
      return Error{ErrorCode::kCorruptPeer, 0, "a slot below tail was never published", i,
                   position};
    }
    Atomics::store(own.tail, position, std::memory_order_relaxed);  // relaxed: observers only
    return BasicSlotProducer(own, places, credit.value(), position);
  }

  // The next slot to fill, valid until commit().  Calling it again without commit() gives the same
  // slot.
  [[nodiscard]] Transfer try_reserve(std::span<std::byte>& slot) noexcept {
    if (!credit_.covers(position_ + 1)) [[unlikely]] {
      if (const Transfer answer = credit_.look(position_ + 1, position_);
          answer != Transfer::kDone) {
        return answer;
      }
    }
    slot = places_.payload_at(position_);
    return Transfer::kDone;
  }

  // Publishes the reserved slot.  Memory ordering: what was written to the slot before commit() is
  // visible to the consumer whose try_peek() returns it.
  void commit() noexcept {
    Atomics::store(places_.sequence_at(position_), position_ + 1,
                   std::memory_order_release);  // slot.A pairs with slot.B
    ++position_;
    // relaxed: observers, and a successor that asks the sequences first.
    Atomics::store(own_->tail, position_, std::memory_order_relaxed);
  }

  // Whether try_reserve() would not answer kBlocked.  Changes nothing, so that a waiter may ask.
  [[nodiscard]] bool has_space() const noexcept {
    return credit_.would_cover(position_ + 1, position_);
  }

  // Copies one message of at most slot_bytes in and publishes it.
  [[nodiscard]] Transfer try_push(std::span<const std::byte> message) noexcept {
    check(message.size() <= slot_bytes(), "a message larger than the slot");
    std::span<std::byte> slot;
    if (const Transfer answer = try_reserve(slot); answer != Transfer::kDone) return answer;
    copy_message_in<Atomics>(slot.data(), message.data(), message.size());
    commit();
    return Transfer::kDone;
  }

  // Everything published so far is no longer wanted; the consumer may skip it in one step.
  void abort_published() noexcept { credit_.abort_before(position_); }

  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
  [[nodiscard]] std::uint64_t slot_count() const noexcept { return places_.slot_count(); }
  [[nodiscard]] std::uint32_t slot_bytes() const noexcept { return places_.slot_bytes(); }

  // A message that has been published and not yet finished by the consumer, for a successor that
  // has to know what is under way.  Requires: done() <= wanted < position().
  [[nodiscard]] std::span<const std::byte> published(std::uint64_t wanted) const noexcept {
    return places_.payload_at(wanted);
  }
  // The consumer's exact cursor, bounded by what we know to be possible.
  [[nodiscard]] std::uint64_t done() const noexcept { return credit_.done(position_); }

 private:
  using Credit = BasicProducerCredit<Atomics>;
  using Places = slot_detail::SlotPlaces<std::byte>;

  BasicSlotProducer(ProducerPage& own, const Places& places, const Credit& credit,
                    std::uint64_t position) noexcept
      : own_(&own), places_(places), position_(position), credit_(credit) {}

  ProducerPage* own_;
  Places places_;
  std::uint64_t position_;  // private: a scribbled page cannot move our writes
  Credit credit_;
};

using SlotProducer = BasicSlotProducer<StdAtomics>;

// A message in place.  `message` is valid until it is released.
struct SlotView {
  std::span<const std::byte> message;
  std::uint64_t position = 0;
  bool redelivered = false;  // a predecessor had taken it and not finished it
  bool aborted = false;      // the producer no longer wants it
};

// The consumer's end.  One thread at a time.
template <typename Atomics>
class BasicSlotConsumer {
 public:
  using View = SlotView;

  // Takes the consuming role over at the cursor that its own page shows.
  // Errors: kInvalidArgument; kCorruptPeer when the own page's cursor is impossible.
  [[nodiscard]] static Result<BasicSlotConsumer> attach(ConsumerPage& own, const ProducerPage& peer,
                                                        const std::byte* slots,
                                                        const SlotGeometry& geometry) noexcept {
    if (Status valid = slot_validate(geometry); !valid) return valid.error();
    Result<Cursor> cursor = Cursor::attach(own, peer, geometry.start_position, geometry.slot_count);
    if (!cursor) return cursor.error();
    const std::uint64_t done = cursor.value().done();
    // relaxed: who finished a message had seen its sequence (slot.B), and tail was one short of it
    // at least.  A producer in the middle of its first commit has not stored tail at all.
    std::uint64_t tail = Atomics::load(peer.tail, std::memory_order_relaxed);
    if (tail < geometry.start_position) tail = geometry.start_position;
    if (done > tail && done - tail > 1) {
      return Error{ErrorCode::kCorruptPeer, 0, "the cursor has finished what was never published",
                   done, tail};
    }
    return BasicSlotConsumer(cursor.value(), slots, geometry);
  }

  // Looks at the next message without copying it.  Several may be held at once.
  [[nodiscard]] Transfer try_peek(SlotView& view) noexcept {
    const std::uint64_t at = cursor_.next();
    // slot.B pairs with slot.A
    const std::uint64_t sequence =
        Atomics::load(places_.sequence_at(at), std::memory_order_acquire);
    if (sequence != at + 1 || at - cursor_.done() == places_.slot_count()) [[unlikely]] {
      if (!is_empty_sequence(sequence)) return Transfer::kCorruptPeer;
      cursor_.give_credit();  // idle: nobody gains from our keeping it back
      return Transfer::kBlocked;
    }
    view = {places_.payload_at(at), at, at < cursor_.redeliver_before(),
            at < cursor_.abort_before()};
    cursor_.take(at + 1);
    return Transfer::kDone;
  }

  // Whether try_peek() would not answer kBlocked.  Changes nothing, so that a waiter may ask.
  [[nodiscard]] bool has_message() const noexcept {
    // slot.B pairs with slot.A
    const std::uint64_t sequence =
        Atomics::load(places_.sequence_at(cursor_.next()), std::memory_order_acquire);
    return !is_empty_sequence(sequence);
  }

  // Finishes `view` and everything before it.
  void release(const SlotView& view) noexcept { cursor_.release(view.position + 1); }

  // Finishes all that the producer has aborted, in one step; 0 when nothing was.  Answers how many
  // messages were skipped.  Requires: nothing is held.
  std::uint64_t skip_aborted() noexcept {
    const std::uint64_t next = cursor_.next();
    check(next == cursor_.done(), "skipping while messages are held");
    const std::uint64_t abort_before = cursor_.abort_before();
    if (abort_before <= next || abort_before - next > places_.slot_count()) return 0;
    // A fence beyond what is published is a lie, and following it would lose what comes.
    // relaxed: cursor.F has made visible what was published before an honest fence.
    if (Atomics::load(places_.sequence_at(abort_before - 1), std::memory_order_relaxed) !=
        abort_before) {
      return 0;
    }
    cursor_.skip_to(abort_before);
    return abort_before - next;
  }

  // Takes everything below `position` at once, unseen: it is held, and finished by the release of
  // position - 1.  Answers how many messages; 0, and nothing changes, for a position beyond what is
  // published.
  std::uint64_t take_before(std::uint64_t position) noexcept {
    const std::uint64_t next = cursor_.next();
    if (position <= next || position - cursor_.done() > places_.slot_count()) return 0;
    // slot.B pairs with slot.A
    if (Atomics::load(places_.sequence_at(position - 1), std::memory_order_acquire) != position) {
      return 0;
    }
    cursor_.take(position);
    return position - next;
  }

  // Gives the producer all that is finished; before sleeping, for instance.
  void publish_credit() noexcept { cursor_.give_credit(); }

  // Copies the next message out, as much of it as `message` holds, and finishes it.
  [[nodiscard]] Transfer try_pop(std::span<std::byte> message) noexcept {
    SlotView view;
    if (const Transfer answer = try_peek(view); answer != Transfer::kDone) return answer;
    const bool fits = view.message.size() <= message.size();
    copy_message_out<Atomics>(message.data(), view.message.data(),
                              fits ? view.message.size() : message.size());
    release(view);
    return Transfer::kDone;
  }

  [[nodiscard]] std::uint64_t position() const noexcept { return cursor_.next(); }
  [[nodiscard]] std::uint64_t done() const noexcept { return cursor_.done(); }
  // Whether the producer has aborted something that is not finished yet, held messages included.
  [[nodiscard]] bool has_abort() const noexcept { return cursor_.abort_before() > cursor_.done(); }
  // First position that the producer still wants, as it says itself; 0 before its first abort.
  [[nodiscard]] std::uint64_t abort_before() const noexcept { return cursor_.abort_before(); }
  // The credit that the producer was last given; who wakes producers compares it.
  [[nodiscard]] std::uint64_t credit_given() const noexcept { return cursor_.credit_given(); }

 private:
  using Cursor = BasicConsumerCursor<Atomics>;

  BasicSlotConsumer(const Cursor& cursor, const std::byte* slots,
                    const SlotGeometry& geometry) noexcept
      : places_(slots, geometry), start_(geometry.start_position), cursor_(cursor) {}

  // Whether a correct producer leaves this in the next slot while that holds nothing for us: the
  // lap before, or nothing yet.  With every slot held, the lap before is what we hold.
  [[nodiscard]] bool is_empty_sequence(std::uint64_t sequence) const noexcept {
    const std::uint64_t next = cursor_.next();
    const std::uint64_t count = places_.slot_count();
    return next - start_ < count ? sequence == 0 : sequence == next + 1 - count;
  }

  slot_detail::SlotPlaces<const std::byte> places_;
  std::uint64_t start_;
  Cursor cursor_;
};

using SlotConsumer = BasicSlotConsumer<StdAtomics>;

}  // namespace slipring

// One producer, one consumer, values of one type, in an array in shared memory: the fast path.
//
// Protocol.  The value at position p lies at index p & mask of a plain array; nothing stands
// between the values, so several can be written or read in place at once.  Publishing is one store
// of tail.  Both sides look at the other's word only when what they last saw is used up: the
// producer a lap later, the consumer when it has caught up.
//   producer's page: tail, abort_before
//   consumer's page: credit (polled by a full producer, stored a quarter of a lap at a time and
//                    when idle), and on another line done and taken
// Invariants: credit <= done <= taken <= tail <= done + slot_count; all only grow.  Each side keeps
// its own position privately: a peer that scribbles cannot move it.
//
// Abort, Crash.  As in record_ring.h: what lies beyond tail never existed; values between done and
// taken come again to a dead consumer's successor.  A pop takes and finishes in one store.
//
// Ordering.  spsc.A -> spsc.B  publish: who sees tail sees the values below it.
//            Credit, done and abort_before: consumer_cursor.h and producer_credit.h.
// Lamport's queue (1977), each side with a private copy of the other's index as in MCRingBuffer
// (Lee et al., 2010).
#pragma once

#include <atomic>
#include <bit>
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
#include "core/ring/producer_credit.h"
#include "core/ring/transfer.h"

namespace slipring {

inline constexpr std::uint64_t kMaxSpscSlotCount = std::uint64_t{1} << 32;

// The memory must outlive the ends, be aligned to kCacheLineBytes, and be zero when the first
// producer attaches.
struct SpscGeometry {
  std::uint64_t slot_count;      // any number from 1 to kMaxSpscSlotCount: the exact capacity
  std::uint64_t start_position;  // the first value's position; below 2^63
};

// Errors: kInvalidArgument with the offending value.
[[nodiscard]] inline Status spsc_validate(const SpscGeometry& geometry) noexcept {
  if (geometry.slot_count == 0 || geometry.slot_count > kMaxSpscSlotCount) {
    return Error{ErrorCode::kInvalidArgument, 0, "slot count is not from 1 to 2^32",
                 geometry.slot_count, kMaxSpscSlotCount};
  }
  if (geometry.start_position >> 63 != 0) {
    return Error{ErrorCode::kInvalidArgument, 0, "start position is not below 2^63",
                 geometry.start_position, 0};
  }
  return {};
}

// Places in the array: the capacity rounded up to a power of two, so that an index is one `and`.
[[nodiscard]] constexpr std::uint64_t spsc_place_count(const SpscGeometry& geometry) noexcept {
  return std::bit_ceil(geometry.slot_count);
}

// What may travel: a type whose bytes are its value, the same in every process.
template <typename T>
concept SpscValue = std::is_trivially_copyable_v<T> && std::is_copy_assignable_v<T> &&
                    std::is_standard_layout_v<T> && alignof(T) <= kCacheLineBytes;

namespace spsc_detail {

[[nodiscard]] inline std::size_t lesser(std::uint64_t a, std::uint64_t b) noexcept {
  return static_cast<std::size_t>(a < b ? a : b);
}
// By value, in these two and wherever one is moved: what was just written word by word cannot be
// loaded in wider pieces without a stall (measured: half the rate for 64 bytes).
template <typename Atomics, typename T>
void copy_in(T* shared, const T* own, std::size_t count) noexcept {
  if constexpr (sizeof(T) < sizeof(std::uint64_t)) {
    if (count != 0) Atomics::copy_in(shared, own, count * sizeof(T));
  } else {
    for (std::size_t i = 0; i < count; ++i) Atomics::write(shared[i], own[i]);
  }
}
template <typename Atomics, typename T>
void copy_out(T* own, const T* shared, std::size_t count) noexcept {
  if constexpr (sizeof(T) < sizeof(std::uint64_t)) {
    if (count != 0) Atomics::copy_out(own, shared, count * sizeof(T));
  } else {
    for (std::size_t i = 0; i < count; ++i) Atomics::read_into(own[i], shared[i]);
  }
}

}  // namespace spsc_detail

// The producer's end.  One thread at a time.
template <SpscValue T, typename Atomics = StdAtomics>
class SpscProducer {
 public:
  // Takes the producing role over at the published tail.  The caller holds the role.
  // Errors: kInvalidArgument; kCorruptPeer when tail and the consumer's cursor do not agree.
  [[nodiscard]] static Result<SpscProducer> attach(ProducerPage& own, T* slots,
                                                   const ConsumerPage& peer,
                                                   const SpscGeometry& geometry) noexcept {
    if (Status valid = spsc_validate(geometry); !valid) return valid.error();
    // relaxed: only our predecessor wrote tail, and attaching ordered us after it.
    std::uint64_t tail = Atomics::load(own.tail, std::memory_order_relaxed);
    if (tail < geometry.start_position) tail = geometry.start_position;
    Result<Credit> credit =
        Credit::attach(own, peer, geometry.start_position, tail, geometry.slot_count);
    if (!credit) return credit.error();
    return SpscProducer(own, slots, geometry, tail, *credit);
  }

  // Copies one value in and publishes it.  Memory ordering: what was written before try_push()
  // answered kDone is visible to the consumer whose try_pop() or try_peek() gives the value.
  [[nodiscard]] Transfer try_push(const T& value) noexcept {
    const std::uint64_t position = position_;
    if (position == credit_.room_end()) [[unlikely]] {
      if (const Transfer answer = look_for_space(); answer != Transfer::kDone) return answer;
    }
    Atomics::write(slots_[position & mask_], value);
    position_ = position + 1;
    // spsc.A pairs with spsc.B
    Atomics::store(own_->tail, position + 1, std::memory_order_release);
    return Transfer::kDone;
  }

  // Copies in as many values as there is room for, from the front, and publishes them together;
  // `pushed` says how many.  kDone when at least one was, or when `values` is empty.
  [[nodiscard]] Transfer try_push_batch(std::span<const T> values, std::size_t& pushed) noexcept {
    pushed = 0;
    if (room() < values.size()) {
      if (const Transfer answer = look_for_space(); answer != Transfer::kDone) return answer;
    }
    const std::size_t count = spsc_detail::lesser(values.size(), room());
    const std::uint64_t index = position_ & mask_;
    const std::size_t before_end = spsc_detail::lesser(count, mask_ + 1 - index);
    spsc_detail::copy_in<Atomics>(slots_ + index, values.data(), before_end);
    spsc_detail::copy_in<Atomics>(slots_, values.data() + before_end, count - before_end);
    publish(count);
    pushed = count;
    return Transfer::kDone;
  }

  // The free slots that lie together, at least one, to be filled in place; valid until commit().
  // Their old contents are unspecified.
  [[nodiscard]] Transfer try_reserve(std::span<T>& slots) noexcept {
    if (room() == 0) {
      if (const Transfer answer = look_for_space(); answer != Transfer::kDone) return answer;
    }
    const std::uint64_t index = position_ & mask_;
    slots = {slots_ + index, spsc_detail::lesser(room(), mask_ + 1 - index)};
    return Transfer::kDone;
  }

  // Publishes the first `count` of the reserved slots; the rest was never there.  Memory ordering:
  // as try_push().  Requires: count <= what try_reserve() gave.
  void commit(std::size_t count) noexcept {
    check(count <= spsc_detail::lesser(room(), mask_ + 1 - (position_ & mask_)),
          "more than was reserved");
    publish(count);
  }

  // Whether `count` slots are free, to be filled in place from position() on, over the end of the
  // array if need be.  Requires: count <= slot_count().
  [[nodiscard]] Transfer try_reserve_run(std::uint64_t count) noexcept {
    return room() >= count ? Transfer::kDone : credit_.look(position_ + count, position_);
  }
  // Publishes the first `count` of them together.
  void commit_run(std::uint64_t count) noexcept {
    check(count <= room(), "more than was reserved");
    publish(static_cast<std::size_t>(count));
  }

  // Whether so many try_push() would not answer kBlocked.  Changes nothing: a waiter may ask.
  [[nodiscard]] bool has_space(std::uint64_t count = 1) const noexcept {
    return credit_.would_cover(position_ + count, position_);
  }

  // Everything published so far is no longer wanted; the consumer may skip it in one step.
  void abort_published() noexcept { credit_.abort_before(position_); }

  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
  [[nodiscard]] std::uint64_t slot_count() const noexcept { return count_; }
  // The consumer's exact cursor, as far as it is possible.
  [[nodiscard]] std::uint64_t done() const noexcept { return credit_.done(position_); }

 private:
  using Credit = BasicProducerCredit<Atomics>;

  SpscProducer(ProducerPage& own, T* slots, const SpscGeometry& geometry, std::uint64_t tail,
               const Credit& credit) noexcept
      : own_(&own),
        slots_(slots),
        count_(geometry.slot_count),
        mask_(spsc_place_count(geometry) - 1),
        position_(tail),
        credit_(credit) {}

  // What we know to be free; stale is safe.
  [[nodiscard]] std::uint64_t room() const noexcept { return credit_.room_end() - position_; }

  // Out of line: once a lap at most while the consumer keeps up.  kBlocked only when there is none.
  [[gnu::noinline]] Transfer look_for_space() noexcept {
    return credit_.look(position_ + 1, position_);
  }

  void publish(std::size_t count) noexcept {
    position_ += count;
    Atomics::store(own_->tail, position_, std::memory_order_release);  // spsc.A pairs with spsc.B
  }

  ProducerPage* own_;
  T* slots_;
  std::uint64_t count_;
  std::uint64_t mask_;
  std::uint64_t position_;  // private: a scribbled page cannot move our writes
  Credit credit_;
};

// The consumer's end.  One thread at a time.
template <SpscValue T, typename Atomics = StdAtomics>
class SpscConsumer {
 public:
  // Takes the consuming role over at the cursor that its own page shows.
  // Errors: kInvalidArgument; kCorruptPeer when the own page's cursor is impossible.
  [[nodiscard]] static Result<SpscConsumer> attach(ConsumerPage& own, const ProducerPage& peer,
                                                   const T* slots,
                                                   const SpscGeometry& geometry) noexcept {
    if (Status valid = spsc_validate(geometry); !valid) return valid.error();
    Result<Cursor> cursor = Cursor::attach(own, peer, geometry.start_position, geometry.slot_count);
    if (!cursor) return cursor.error();
    return SpscConsumer(peer, slots, geometry, *cursor);
  }

  // Copies the next value out and finishes it.  Requires: nothing is held.
  [[nodiscard]] Transfer try_pop(T& value) noexcept {
    const std::uint64_t position = cursor_.next();
    const std::uint64_t next = position + 1;
    if (position == tail_seen_) [[unlikely]] {
      // The usual answer without a call: from one value to a lap of them, none of it held.
      const std::uint64_t tail =
          Atomics::load(peer_->tail, std::memory_order_acquire);  // spsc.B pairs with spsc.A
      if (tail - next < count_) {
        tail_seen_ = tail;
      } else if (const Transfer answer = look_for_values(); answer != Transfer::kDone) {
        return answer;
      }
    }
    Atomics::read_into(value, slots_[position & mask_]);
    cursor_.pass(next);
    return Transfer::kDone;
  }

  // Copies out and finishes the `popped` values that there are, at most values.size(); kBlocked for
  // none, unless none are wanted.  Requires: nothing is held.
  [[nodiscard]] Transfer try_pop_batch(std::span<T> values, std::size_t& popped) noexcept {
    popped = 0;
    const std::uint64_t position = cursor_.next();
    if (tail_seen_ - position < values.size()) {
      if (const Transfer answer = look_for_values(); answer != Transfer::kDone) return answer;
    }
    const std::size_t count = spsc_detail::lesser(values.size(), tail_seen_ - position);
    const std::uint64_t index = position & mask_;
    const std::size_t before_end = spsc_detail::lesser(count, mask_ + 1 - index);
    spsc_detail::copy_out<Atomics>(values.data(), slots_ + index, before_end);
    spsc_detail::copy_out<Atomics>(values.data() + before_end, slots_, count - before_end);
    cursor_.pass(position + count);
    popped = count;
    return Transfer::kDone;
  }

  // The next values that lie together, at least one, in place, where the producer could still
  // change them: read every word once.  Held until released; a further try_peek() gives those
  // behind them.
  [[nodiscard]] Transfer try_peek(std::span<const T>& values) noexcept {
    const std::uint64_t position = cursor_.next();
    if (position == tail_seen_) {
      if (const Transfer answer = look_for_values(); answer != Transfer::kDone) return answer;
    }
    const std::uint64_t index = position & mask_;
    values = {slots_ + index, spsc_detail::lesser(tail_seen_ - position, mask_ + 1 - index)};
    cursor_.take(position + values.size());
    return Transfer::kDone;
  }

  // Holds all that is published; position() says up to where.
  [[nodiscard]] Transfer try_hold_all() noexcept {
    const Transfer answer = look_for_values();
    if (answer == Transfer::kDone) cursor_.take(tail_seen_);
    return answer;
  }

  // Finishes the `count` values that have been held longest.  Requires: so many are held.
  void release(std::size_t count) noexcept {
    check(count <= cursor_.next() - cursor_.done(), "release of what is not held");
    if (count != 0) cursor_.release(cursor_.done() + count);
  }

  // How many values, from done() on, a predecessor had taken and not finished.
  [[nodiscard]] std::uint64_t redelivered_count() const noexcept {
    const std::uint64_t before = cursor_.redeliver_before();
    return before > cursor_.done() ? before - cursor_.done() : 0;
  }

  // Finishes, and counts, all that the producer has aborted.  Requires: nothing is held.
  std::uint64_t skip_aborted() noexcept {
    check(cursor_.next() == cursor_.done(), "skipping while values are held");
    const std::uint64_t abort_before = cursor_.abort_before();
    const std::uint64_t skipped = take_before(abort_before);
    if (skipped != 0) cursor_.skip_to(abort_before);
    return skipped;
  }
  // Takes everything below `position` at once, unseen: it is held until released.  Answers how many
  // values; 0, and nothing changes, for a position beyond what is published.
  std::uint64_t take_before(std::uint64_t position) noexcept {
    const std::uint64_t next = cursor_.next();
    if (position <= next) return 0;
    if (position > tail_seen_) (void)look_for_values();
    // Beyond what is published it is a lie, and following it would lose what comes.
    if (position > tail_seen_) return 0;
    cursor_.take(position);
    return position - next;
  }
  // Whether the producer has aborted something that is not finished yet, held values included.
  [[nodiscard]] bool has_abort() const noexcept { return cursor_.abort_before() > cursor_.done(); }

  // Whether try_pop(), try_hold_all() might not answer kBlocked.  Changes nothing.
  [[nodiscard]] bool has_value() const noexcept {
    return cursor_.next() != tail_seen_ || has_news();
  }
  [[nodiscard]] bool has_news() const noexcept {
    const std::uint64_t tail =
        Atomics::load(peer_->tail, std::memory_order_acquire);  // spsc.B pairs with spsc.A
    return !is_nothing_new(tail);
  }

  // Gives the producer all that is finished; before sleeping, for instance.
  void publish_credit() noexcept { cursor_.give_credit(); }

  [[nodiscard]] std::uint64_t position() const noexcept { return cursor_.next(); }
  [[nodiscard]] std::uint64_t done() const noexcept { return cursor_.done(); }
  // The credit that the producer was last given; who wakes producers compares it.
  [[nodiscard]] std::uint64_t credit_given() const noexcept { return cursor_.credit_given(); }
  [[nodiscard]] std::uint64_t slot_count() const noexcept { return count_; }

 private:
  using Cursor = BasicConsumerCursor<Atomics>;

  SpscConsumer(const ProducerPage& peer, const T* slots, const SpscGeometry& geometry,
               const Cursor& cursor) noexcept
      : peer_(&peer),
        slots_(slots),
        count_(geometry.slot_count),
        mask_(spsc_place_count(geometry) - 1),
        tail_seen_(cursor.next()),
        start_(geometry.start_position),
        idle_at_(cursor.next()),
        cursor_(cursor) {}

  // A tail that is still 0 counts as the start position.
  [[nodiscard]] bool is_nothing_new(std::uint64_t tail) const noexcept {
    return tail == tail_seen_ || (tail == 0 && tail_seen_ == start_);
  }

  // Learns of more values; kBlocked when there are none at all.  Out of line: the fast path must
  // not carry its registers.
  [[gnu::noinline]] Transfer look_for_values() noexcept {
    // spsc.B pairs with spsc.A.
    std::uint64_t tail = Atomics::load(peer_->tail, std::memory_order_acquire);
    if (is_nothing_new(tail) && cursor_.next() - idle_at_ >= kRunMessages) {
      pause_at_heels<Atomics>();
      tail = Atomics::load(peer_->tail, std::memory_order_acquire);  // spsc.B pairs with spsc.A
    }
    if (is_nothing_new(tail)) {
      if (cursor_.next() != tail_seen_) return Transfer::kDone;
      idle_at_ = tail_seen_;
      cursor_.give_credit();  // idle: nobody gains from our keeping it back
      return Transfer::kBlocked;
    }
    // Below what was seen already, or further than a lap from what is finished: impossible.
    if (tail < tail_seen_ || tail - cursor_.done() > count_) return Transfer::kCorruptPeer;
    tail_seen_ = tail;
    return Transfer::kDone;
  }

  const ProducerPage* peer_;
  const T* slots_;
  std::uint64_t count_;
  std::uint64_t mask_;
  std::uint64_t tail_seen_;  // stale is safe: it only understates what is there
  std::uint64_t start_;
  std::uint64_t idle_at_;  // where nothing was found the last time
  Cursor cursor_;
};

}  // namespace slipring

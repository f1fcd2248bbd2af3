// One producer, one consumer, records of any length, in place, in shared memory.
//
// Protocol.  The ring is a run of bytes; a position counts bytes since the beginning and an index
// is position & mask.  A record is an 8-byte header {size_bytes:32, kind:32} and the payload,
// padded to 8; it never wraps: what does not fit before the end of the ring is preceded by a
// padding record. The consumer reads only below the published tail and so never takes old bytes for
// a header.
//   producer's page: tail (polled by an idle consumer), abort_before; producer's bytes: the records
//   consumer's page: credit (polled by a full producer, stored rarely), done and taken
// Invariants: done <= taken <= tail <= done + capacity; credit <= done; all only grow; all are
// multiples of 8.  Each side keeps its own position privately.
// A record takes at most half of the ring, header and padding included: then it always fits sooner
// or later, wherever the ring stands.
//
// Abort.  As in slot_ring.h: everything before abort_before is no longer wanted.
//
// Crash.  What lies beyond tail never existed.  A consumer that dies between taken and done has
// these records delivered again to its successor, marked `redelivered`.
//
// Ordering.  record.A -> record.B  publish: who sees tail sees the records below it.
//            record.C -> record.D  credit: the producer overwrites only what has been read.
//            record.E -> record.F  done: a successor of the producer starts behind what is
//            finished. record.G -> record.H  abort_before: who sees it sees the records that it
//            lets live.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "core/error/check.h"
#include "core/error/result.h"
#include "core/ring/cursor_page.h"
#include "core/ring/transfer.h"

namespace slipring {

inline constexpr std::uint64_t kRecordHeaderBytes = 8;
inline constexpr std::uint64_t kMinRecordRingBytes = 64;
inline constexpr std::uint64_t kMaxRecordRingBytes = std::uint64_t{1} << 40;

struct RecordGeometry {
  std::uint64_t capacity_bytes;  // a power of two, kMinRecordRingBytes to kMaxRecordRingBytes
  std::uint64_t start_position;  // the first record's position; a multiple of 8, below 2^63
};

// The longest payload that a ring of this capacity carries, in bytes.
[[nodiscard]] constexpr std::uint64_t record_max_payload_bytes(
    std::uint64_t capacity_bytes) noexcept {
  const std::uint64_t half = capacity_bytes / 2 - kRecordHeaderBytes;
  return half < 0xffff'fff0U ? half : 0xffff'fff0U;
}

// Errors: kInvalidArgument with the offending value.
[[nodiscard]] inline Status record_validate(const RecordGeometry& geometry) noexcept {
  const std::uint64_t capacity = geometry.capacity_bytes;
  if (capacity < kMinRecordRingBytes || capacity > kMaxRecordRingBytes ||
      (capacity & (capacity - 1)) != 0) {
    return Error{ErrorCode::kInvalidArgument, 0,
                 "record ring capacity is not a power of two from 64 bytes to 1 TiB", capacity,
                 kMaxRecordRingBytes};
  }
  if (geometry.start_position % 8 != 0 || geometry.start_position >> 63 != 0) {
    return Error{ErrorCode::kInvalidArgument, 0, "start position is not a multiple of 8 below 2^63",
                 geometry.start_position, 0};
  }
  return {};
}

namespace record_detail {

inline constexpr std::uint32_t kData = 1;
inline constexpr std::uint32_t kPadding = 2;

// Header and payload, rounded up to the next header's place.
[[nodiscard]] constexpr std::uint64_t whole_bytes(std::uint64_t payload_bytes) noexcept {
  return (kRecordHeaderBytes + payload_bytes + 7) & ~std::uint64_t{7};
}

[[nodiscard]] constexpr std::uint64_t pack(std::uint64_t payload_bytes,
                                           std::uint32_t kind) noexcept {
  return payload_bytes | std::uint64_t{kind} << 32;
}

}  // namespace record_detail

// The producer's end.  One thread at a time.  At most one record is open; any number of closed ones
// may wait for one publish().
class RecordProducer {
 public:
  // Takes the producing role over at the published tail.  The caller holds the role.
  // Errors: kInvalidArgument; kCorruptPeer when tail and the consumer's cursor contradict each
  // other.
  [[nodiscard]] static Result<RecordProducer> attach(ProducerPage& own, std::byte* bytes,
                                                     const ConsumerPage& peer,
                                                     const RecordGeometry& geometry) noexcept {
    if (Status valid = record_validate(geometry); !valid) return valid.error();
    // relaxed: only our predecessor wrote tail, and attaching ordered us after it.
    std::uint64_t tail = own.tail.load(std::memory_order_relaxed);
    if (tail < geometry.start_position) tail = geometry.start_position;
    std::uint64_t done = peer.done.load(std::memory_order_acquire);  // record.F pairs with record.E
    if (done < geometry.start_position) done = geometry.start_position;
    if (tail % 8 != 0 || done > tail || tail - done > geometry.capacity_bytes) {
      return Error{ErrorCode::kCorruptPeer, 0,
                   "tail and the consumer's cursor contradict each other", done, tail};
    }
    return RecordProducer(own, bytes, peer, geometry, tail, done);
  }

  // Opens a record of at most `size_bytes`, in place; valid until close(), commit() or abandon().
  // On kBlocked publish what is closed before waiting: the consumer cannot free what it cannot see.
  // Requires: size_bytes <= max_payload_bytes(); no record is open.
  [[nodiscard]] Transfer try_reserve(std::uint64_t size_bytes,
                                     std::span<std::byte>& payload) noexcept {
    check(!open_, "a record is open already");
    check(size_bytes <= max_payload_bytes(), "a record larger than half of the ring");
    const std::uint64_t whole = record_detail::whole_bytes(size_bytes);
    const std::uint64_t to_end = capacity_ - (written_ & (capacity_ - 1));
    const std::uint64_t padding = whole > to_end ? to_end : 0;
    if (written_ + padding + whole - credit_seen_ > capacity_) {
      // record.D pairs with record.C.
      const std::uint64_t credit = peer_->credit.load(std::memory_order_acquire);
      if (credit > tail_) return Transfer::kCorruptPeer;
      if (credit > credit_seen_) credit_seen_ = credit;  // older than `done` after a take-over
      if (written_ + padding + whole - credit_seen_ > capacity_) return Transfer::kBlocked;
    }
    open_at_ = written_ + padding;
    reserved_bytes_ = size_bytes;
    open_ = true;
    payload = {bytes_ + (open_at_ & (capacity_ - 1)) + kRecordHeaderBytes,
               static_cast<std::size_t>(size_bytes)};
    return Transfer::kDone;
  }

  // Whether try_reserve(size_bytes) would not answer kBlocked.  Changes nothing, so that a waiter
  // may ask.
  [[nodiscard]] bool has_space(std::uint64_t size_bytes) const noexcept {
    const std::uint64_t whole = record_detail::whole_bytes(size_bytes);
    const std::uint64_t to_end = capacity_ - (written_ & (capacity_ - 1));
    const std::uint64_t end = written_ + (whole > to_end ? to_end : 0) + whole;
    if (end - credit_seen_ <= capacity_) return true;
    const std::uint64_t credit =
        peer_->credit.load(std::memory_order_acquire);  // record.D pairs with record.C
    return credit > tail_ || (credit > credit_seen_ && end - credit <= capacity_);
  }

  // Closes the open record with its final size, without publishing it.  Padding is written only
  // now, so that a data record always ends what is published.
  // Requires: size_bytes <= what was reserved.
  void close(std::uint64_t size_bytes) noexcept {
    check(open_, "no record is open");
    check(size_bytes <= reserved_bytes_, "a record longer than reserved");
    if (const std::uint64_t padding = open_at_ - written_; padding != 0) {
      store_header(written_,
                   record_detail::pack(padding - kRecordHeaderBytes, record_detail::kPadding));
    }
    store_header(open_at_, record_detail::pack(size_bytes, record_detail::kData));
    written_ = open_at_ + record_detail::whole_bytes(size_bytes);
    open_ = false;
  }

  // Publishes every closed record.  Memory ordering: what was written to them before is visible to
  // the consumer whose try_peek() returns them.
  void publish() noexcept {
    tail_ = written_;
    own_->tail.store(tail_, std::memory_order_release);  // record.A pairs with record.B
  }

  void commit(std::uint64_t size_bytes) noexcept {
    close(size_bytes);
    publish();
  }

  // Drops the open record; nothing of it stays.
  void abandon() noexcept {
    check(open_, "no record is open");
    open_ = false;
  }

  // Copies one record in and publishes it.  Requires as try_reserve().
  [[nodiscard]] Transfer try_push(std::span<const std::byte> message) noexcept {
    std::span<std::byte> payload;
    if (const Transfer answer = try_reserve(message.size(), payload); answer != Transfer::kDone) {
      return answer;
    }
    if (!message.empty()) std::memcpy(payload.data(), message.data(), message.size());
    commit(message.size());
    return Transfer::kDone;
  }

  // Everything published so far is no longer wanted; the consumer may skip it in one step.
  void abort_published() noexcept {
    own_->abort_before.store(tail_, std::memory_order_release);  // record.G pairs with record.H
  }

  [[nodiscard]] std::uint64_t position() const noexcept { return tail_; }
  [[nodiscard]] bool is_open() const noexcept { return open_; }
  [[nodiscard]] std::uint64_t capacity_bytes() const noexcept { return capacity_; }
  [[nodiscard]] std::uint64_t max_payload_bytes() const noexcept {
    return record_max_payload_bytes(capacity_);
  }

 private:
  RecordProducer(ProducerPage& own, std::byte* bytes, const ConsumerPage& peer,
                 const RecordGeometry& geometry, std::uint64_t tail, std::uint64_t done) noexcept
      : own_(&own),
        bytes_(bytes),
        peer_(&peer),
        capacity_(geometry.capacity_bytes),
        tail_(tail),
        written_(tail),
        credit_seen_(done) {}

  void store_header(std::uint64_t position, std::uint64_t header) noexcept {
    auto& word =
        *reinterpret_cast<std::atomic<std::uint64_t>*>(bytes_ + (position & (capacity_ - 1)));
    word.store(header, std::memory_order_relaxed);  // relaxed: published by tail, record.A
  }

  ProducerPage* own_;
  std::byte* bytes_;
  const ConsumerPage* peer_;
  std::uint64_t capacity_;
  std::uint64_t tail_;     // private: a scribbled page cannot move our writes
  std::uint64_t written_;  // closed records end here; runs ahead of tail
  std::uint64_t credit_seen_;
  std::uint64_t open_at_ = 0;  // of the open record; behind written_ by the padding before it
  std::uint64_t reserved_bytes_ = 0;
  bool open_ = false;
};

// A record in place, valid until it is released.
struct RecordView {
  std::span<const std::byte> message;
  std::uint64_t position = 0;
  std::uint64_t end_position = 0;
  bool redelivered = false;  // a predecessor had taken it and not finished it
  bool aborted = false;      // the producer no longer wants it
};

// The consumer's end.  One thread at a time.
class RecordConsumer {
 public:
  // Takes the consuming role over at the cursor that its own page shows.
  // Errors: kInvalidArgument; kCorruptPeer when the own page's cursor is impossible.
  [[nodiscard]] static Result<RecordConsumer> attach(ConsumerPage& own, const ProducerPage& peer,
                                                     const std::byte* bytes,
                                                     const RecordGeometry& geometry) noexcept {
    if (Status valid = record_validate(geometry); !valid) return valid.error();
    // relaxed: only our predecessor wrote them, and attaching ordered us after it.
    std::uint64_t done = own.done.load(std::memory_order_relaxed);
    std::uint64_t taken = own.taken.load(std::memory_order_relaxed);
    if (done < geometry.start_position) done = geometry.start_position;
    if (taken < done) taken = done;
    if (done % 8 != 0 || taken - done > geometry.capacity_bytes) {
      return Error{ErrorCode::kCorruptPeer, 0, "the cursor has taken more than a whole ring", taken,
                   done + geometry.capacity_bytes};
    }
    return RecordConsumer(own, peer, bytes, geometry, done, taken);
  }

  // Looks at the next record without copying it.  Several may be held at once.
  [[nodiscard]] Transfer try_peek(RecordView& view) noexcept {
    for (;;) {
      if (next_ == tail_seen_) {
        const std::uint64_t tail =
            peer_->tail.load(std::memory_order_acquire);  // record.B pairs with record.A
        if (tail == next_ || (tail == 0 && next_ == start_)) {
          publish_credit();  // idle: nobody gains from our keeping it back
          return Transfer::kBlocked;
        }
        if (tail % 8 != 0 || tail < next_ || tail - done_ > capacity_)
          return Transfer::kCorruptPeer;
        tail_seen_ = tail;
      }
      const std::uint64_t index = next_ & (capacity_ - 1);
      // Read once: the producer could change it between a check and a use.  relaxed: record.B.
      const std::uint64_t header =
          reinterpret_cast<const std::atomic<std::uint64_t>*>(bytes_ + index)
              ->load(std::memory_order_relaxed);
      const std::uint64_t size_bytes = header & 0xffff'ffffU;
      const auto kind = static_cast<std::uint32_t>(header >> 32);
      const std::uint64_t whole = record_detail::whole_bytes(size_bytes);
      if (whole > tail_seen_ - next_ || whole > capacity_ - index) return Transfer::kCorruptPeer;
      const std::uint64_t position = next_;
      if (kind == record_detail::kPadding) {
        next_ += whole;
        continue;
      }
      if (kind != record_detail::kData) return Transfer::kCorruptPeer;
      // record.H pairs with record.G.
      const std::uint64_t abort_before = peer_->abort_before.load(std::memory_order_acquire);
      next_ += whole;
      view = {{bytes_ + index + kRecordHeaderBytes, static_cast<std::size_t>(size_bytes)},
              position,
              next_,
              position < redeliver_before_,
              position < abort_before};
      mark_taken();
      return Transfer::kDone;
    }
  }

  // Whether try_peek() might not answer kBlocked.  Changes nothing, so that a waiter may ask.
  [[nodiscard]] bool has_message() const noexcept {
    if (next_ != tail_seen_) return true;
    const std::uint64_t tail =
        peer_->tail.load(std::memory_order_acquire);  // record.B pairs with record.A
    return tail != next_ && !(tail == 0 && next_ == start_);
  }

  // Finishes `view` and everything before it.
  void release(const RecordView& view) noexcept {
    check(view.end_position > done_ && view.end_position <= next_, "release of what is not held");
    finish(view.end_position);
    if (done_ - credit_given_ >= capacity_ / 4) publish_credit();
  }

  // Finishes all that the producer has aborted, in one step; answers how many bytes of ring were
  // skipped.  Requires: nothing is held.
  std::uint64_t skip_aborted() noexcept {
    // record.H pairs with record.G.
    const std::uint64_t abort_before = peer_->abort_before.load(std::memory_order_acquire);
    if (abort_before <= next_) return 0;
    const std::uint64_t tail =
        peer_->tail.load(std::memory_order_acquire);             // record.B pairs with record.A
    if (abort_before % 8 != 0 || abort_before > tail) return 0;  // a lie; try_peek() finds others
    if (tail % 8 != 0 || tail - done_ > capacity_) return 0;
    const std::uint64_t skipped = abort_before - next_;
    tail_seen_ = tail;
    next_ = abort_before;
    mark_taken();
    finish(next_);
    publish_credit();
    return skipped;
  }

  // Gives the producer all that is finished; before sleeping, for instance.
  void publish_credit() noexcept {
    if (credit_given_ == done_) return;
    credit_given_ = done_;
    own_->credit.store(done_, std::memory_order_release);  // record.C pairs with record.D
  }

  [[nodiscard]] std::uint64_t position() const noexcept { return next_; }
  [[nodiscard]] std::uint64_t done() const noexcept { return done_; }
  // Whether the producer has aborted something that is not finished yet, held messages included.
  [[nodiscard]] bool has_abort() const noexcept {
    // record.H pairs with record.G.
    return peer_->abort_before.load(std::memory_order_acquire) > done_;
  }
  // The credit that the producer was last given; who wakes producers compares it.
  [[nodiscard]] std::uint64_t credit_given() const noexcept { return credit_given_; }

 private:
  RecordConsumer(ConsumerPage& own, const ProducerPage& peer, const std::byte* bytes,
                 const RecordGeometry& geometry, std::uint64_t done, std::uint64_t taken) noexcept
      : own_(&own),
        peer_(&peer),
        bytes_(bytes),
        capacity_(geometry.capacity_bytes),
        start_(geometry.start_position),
        next_(done),
        done_(done),
        tail_seen_(done),
        redeliver_before_(taken) {}

  // Never backwards: what a predecessor had taken stays taken until it is finished, also for the
  // successor of a successor.
  void mark_taken() noexcept {
    if (next_ <= redeliver_before_) return;
    own_->taken.store(next_, std::memory_order_relaxed);  // relaxed: read after our death only
  }

  void finish(std::uint64_t position) noexcept {
    done_ = position;
    own_->done.store(done_, std::memory_order_release);  // record.E pairs with record.F
  }

  ConsumerPage* own_;
  const ProducerPage* peer_;
  const std::byte* bytes_;
  std::uint64_t capacity_;
  std::uint64_t start_;
  std::uint64_t next_;  // first position not yet looked at
  std::uint64_t done_;  // first position not yet finished
  std::uint64_t tail_seen_;
  std::uint64_t redeliver_before_;
  std::uint64_t credit_given_ = 0;
};

}  // namespace slipring

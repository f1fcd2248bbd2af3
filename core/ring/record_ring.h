// One producer, one consumer, records of any length, in place, in shared memory.
//
// Protocol.  The ring is a run of bytes; a position counts bytes since the beginning and an index
// is position & mask.  A record is an 8-byte header {size_bytes:32, kind:32} and the payload,
// padded to 8; it never wraps: what does not fit before the end of the ring is preceded by a
// padding record. The consumer reads only below the published tail and so never takes old bytes for
// a header.  One store of tail publishes all records closed before it.
//   producer's page: tail (read by a consumer that has read all it knew of), abort_before
//   producer's bytes: the records
//   consumer's page: credit, done and taken, as consumer_cursor.h says
// Invariants: done <= taken <= tail <= done + capacity; credit <= done; all only grow; all are
// multiples of 8.  Padding fills its lap, and what is published ends with data.  Each side keeps
// its own position privately. A record takes at most half of the ring, header and padding included:
// then it always fits sooner or later, wherever the ring stands.
//
// Speed.  Far apart is fast: a consumer at the producer's heels pulls lines while they are being
// written.  After a run of records it therefore pauses once before it answers kBlocked.
//
// Abort.  As in slot_ring.h: everything before abort_before is no longer wanted.
//
// Crash.  What lies beyond tail never existed.  A consumer that dies between taken and done has
// these records delivered again to its successor, marked `redelivered`.
//
// Ordering.  record.A -> record.B  publish: who sees tail sees the records below it.
//            Reuse, take-over and abort: cursor.A to cursor.F in consumer_cursor.h.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/cpu/atomics.h"
#include "core/error/check.h"
#include "core/error/result.h"
#include "core/ring/consumer_cursor.h"
#include "core/ring/cursor_page.h"
#include "core/ring/message_copy.h"
#include "core/ring/producer_credit.h"
#include "core/ring/record_format.h"
#include "core/ring/transfer.h"

namespace slipring {

// The producer's end.  One thread at a time.  At most one record is open; any number of closed ones
// may wait for one publish().
template <typename Atomics>
class BasicRecordProducer {
 public:
  // Takes the producing role over at the published tail.  The caller holds the role.
  // Errors: kInvalidArgument; kCorruptPeer when tail and the consumer's cursor contradict each
  // other.
  [[nodiscard]] static Result<BasicRecordProducer> attach(ProducerPage& own, std::byte* bytes,
                                                          const ConsumerPage& peer,
                                                          const RecordGeometry& geometry) noexcept {
    if (Status valid = record_validate(geometry); !valid) return valid.error();
    // relaxed: only our predecessor wrote tail, and attaching ordered us after it.
    std::uint64_t tail = Atomics::load(own.tail, std::memory_order_relaxed);
    if (tail < geometry.start_position) tail = geometry.start_position;
    if (tail % 8 != 0) {
      return Error{ErrorCode::kCorruptPeer, 0, "tail is not a multiple of 8", tail, 0};
    }
    Result<Credit> credit =
        Credit::attach(own, peer, geometry.start_position, tail, geometry.capacity_bytes);
    if (!credit) return credit.error();
    return BasicRecordProducer(own, bytes, credit.value(), geometry, tail);
  }

  // Opens a record of at most `size_bytes`, in place; valid until close(), commit() or abandon().
  // On kBlocked publish what is closed before waiting: the consumer cannot free what it cannot see.
  // Requires: size_bytes <= max_payload_bytes(); no record is open.
  [[nodiscard]] Transfer try_reserve(std::uint64_t size_bytes,
                                     std::span<std::byte>& payload) noexcept {
    std::uint64_t begin = 0;
    if (const Transfer answer = place(size_bytes, begin); answer != Transfer::kDone) return answer;
    open_at_ = begin;
    reserved_bytes_ = size_bytes;
    open_ = true;
    payload = {payload_at(begin), static_cast<std::size_t>(size_bytes)};
    return Transfer::kDone;
  }

  // Whether try_reserve(size_bytes) would not answer kBlocked.  Changes nothing: a waiter may ask.
  [[nodiscard]] bool has_space(std::uint64_t size_bytes) const noexcept {
    const std::uint64_t whole = record_detail::whole_bytes(size_bytes);
    return credit_.would_cover(begin_of(whole) + whole, tail_);
  }

  // Closes the open record with its final size, without publishing it.  Padding is written only
  // now, so that a data record always ends what is published.
  // Requires: size_bytes <= what was reserved.
  void close(std::uint64_t size_bytes) noexcept {
    check(open_, "no record is open");
    check(size_bytes <= reserved_bytes_, "a record longer than reserved");
    open_ = false;
    seal(open_at_, size_bytes);
  }

  // Publishes every closed record.  Memory ordering: what was written to them before is visible to
  // the consumer whose try_peek() returns them.
  void publish() noexcept {
    tail_ = written_;
    Atomics::store(own_->tail, tail_, std::memory_order_release);  // record.A pairs with record.B
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

  // Copies one record in and closes it; publish() shows it.  Requires as try_reserve().
  [[nodiscard]] Transfer try_append(std::span<const std::byte> message) noexcept {
    std::uint64_t begin = 0;
    if (const Transfer answer = place(message.size(), begin); answer != Transfer::kDone) {
      return answer;
    }
    copy_message_in<Atomics>(payload_at(begin), message.data(), message.size());
    seal(begin, message.size());
    return Transfer::kDone;
  }

  // Copies one record in and publishes it, and all that were closed before.
  [[nodiscard]] Transfer try_push(std::span<const std::byte> message) noexcept {
    const Transfer answer = try_append(message);
    if (answer == Transfer::kDone) publish();
    return answer;
  }

  // Copies as many records in as there is room for and publishes them at once; `count` says how
  // many.  kDone when that is all of them.  Requires as try_reserve(), of each.
  [[nodiscard]] Transfer try_push_many(std::span<const std::span<const std::byte>> messages,
                                       std::size_t& count) noexcept {
    Transfer answer = Transfer::kDone;
    for (count = 0; count != messages.size(); ++count) {
      if (answer = try_append(messages[count]); answer != Transfer::kDone) break;
    }
    if (count != 0) publish();
    return answer;
  }

  // Everything published so far is no longer wanted; the consumer may skip it in one step.
  void abort_published() noexcept { credit_.abort_before(tail_); }

  [[nodiscard]] std::uint64_t position() const noexcept { return tail_; }
  [[nodiscard]] std::uint64_t done() const noexcept { return credit_.done(tail_); }
  [[nodiscard]] bool is_open() const noexcept { return open_; }
  [[nodiscard]] std::uint64_t capacity_bytes() const noexcept { return capacity_; }
  [[nodiscard]] std::uint64_t max_payload_bytes() const noexcept {
    return record_max_payload_bytes(capacity_);
  }

 private:
  using Credit = BasicProducerCredit<Atomics>;

  BasicRecordProducer(ProducerPage& own, std::byte* bytes, const Credit& credit,
                      const RecordGeometry& geometry, std::uint64_t tail) noexcept
      : own_(&own),
        bytes_(bytes),
        capacity_(geometry.capacity_bytes),
        tail_(tail),
        written_(tail),
        credit_(credit) {}

  // Where a record of `whole` bytes begins: behind what is closed, or at the start of the next lap.
  [[nodiscard]] std::uint64_t begin_of(std::uint64_t whole) const noexcept {
    const std::uint64_t to_end = capacity_ - (written_ & (capacity_ - 1));
    return whole > to_end ? written_ + to_end : written_;
  }

  [[nodiscard]] Transfer place(std::uint64_t size_bytes, std::uint64_t& begin) noexcept {
    check(!open_, "a record is open already");
    check(size_bytes <= max_payload_bytes(), "a record larger than half of the ring");
    const std::uint64_t whole = record_detail::whole_bytes(size_bytes);
    begin = begin_of(whole);
    if (credit_.covers(begin + whole)) [[likely]]
      return Transfer::kDone;
    return credit_.look(begin + whole, tail_);
  }

  void seal(std::uint64_t begin, std::uint64_t size_bytes) noexcept {
    if (const std::uint64_t padding = begin - written_; padding != 0) [[unlikely]] {
      store_header(written_,
                   record_detail::pack(padding - kRecordHeaderBytes, record_detail::kPadding));
    }
    store_header(begin, record_detail::pack(size_bytes, record_detail::kData));
    written_ = begin + record_detail::whole_bytes(size_bytes);
  }

  void store_header(std::uint64_t position, std::uint64_t header) noexcept {
    auto& word =
        *reinterpret_cast<std::atomic<std::uint64_t>*>(bytes_ + (position & (capacity_ - 1)));
    // relaxed: published by tail, record.A
    Atomics::store(word, header, std::memory_order_relaxed);
  }

  [[nodiscard]] std::byte* payload_at(std::uint64_t begin) const noexcept {
    return bytes_ + (begin & (capacity_ - 1)) + kRecordHeaderBytes;
  }

  ProducerPage* own_;
  std::byte* bytes_;
  std::uint64_t capacity_;
  std::uint64_t tail_;     // private: a scribbled page cannot move our writes
  std::uint64_t written_;  // closed records end here; runs ahead of tail
  Credit credit_;
  std::uint64_t open_at_ = 0;  // of the open record; ahead of written_ by the padding before it
  std::uint64_t reserved_bytes_ = 0;
  bool open_ = false;
};

using RecordProducer = BasicRecordProducer<StdAtomics>;

// The consumer's end.  One thread at a time.
template <typename Atomics>
class BasicRecordConsumer {
 public:
  using View = RecordView;

  // Takes the consuming role over at the cursor that its own page shows.
  // Errors: kInvalidArgument; kCorruptPeer when the own page's cursor is impossible.
  [[nodiscard]] static Result<BasicRecordConsumer> attach(ConsumerPage& own,
                                                          const ProducerPage& peer,
                                                          const std::byte* bytes,
                                                          const RecordGeometry& geometry) noexcept {
    if (Status valid = record_validate(geometry); !valid) return valid.error();
    Result<Cursor> cursor =
        Cursor::attach(own, peer, geometry.start_position, geometry.capacity_bytes);
    if (!cursor) return cursor.error();
    const std::uint64_t done = cursor.value().done();
    if (done % 8 != 0) {
      return Error{ErrorCode::kCorruptPeer, 0, "the cursor is not a multiple of 8", done, 0};
    }
    return BasicRecordConsumer(cursor.value(), peer, bytes, geometry);
  }

  // Looks at the next record without copying it.  Several may be held at once.
  [[nodiscard]] Transfer try_peek(RecordView& view) noexcept {
    std::uint64_t at = cursor_.next();
    if (at == tail_seen_) [[unlikely]] {
      if (const Transfer answer = look(); answer != Transfer::kDone) return answer;
    }
    std::uint64_t index = at & (capacity_ - 1);
    std::uint64_t header = header_at(index);
    if (record_detail::kind(header) == record_detail::kPadding) [[unlikely]] {
      const std::uint64_t to_end = capacity_ - index;
      if (record_detail::whole_bytes(record_detail::payload_bytes(header)) != to_end ||
          to_end >= tail_seen_ - at) {
        return Transfer::kCorruptPeer;
      }
      at += to_end;
      index = 0;
      header = header_at(0);
    }
    const std::uint64_t size_bytes = record_detail::payload_bytes(header);
    const std::uint64_t whole = record_detail::whole_bytes(size_bytes);
    if (record_detail::kind(header) != record_detail::kData || whole > tail_seen_ - at ||
        whole > capacity_ - index) [[unlikely]] {
      return Transfer::kCorruptPeer;
    }
    cursor_.take(at + whole);
    ++run_count_;
    view = {{bytes_ + index + kRecordHeaderBytes, static_cast<std::size_t>(size_bytes)},
            at,
            at + whole,
            at < cursor_.redeliver_before(),
            at < cursor_.abort_before()};
    return Transfer::kDone;
  }

  // Looks at as many records as there are, at most views.size(); `count` says how many.  kDone when
  // that is at least one.  Releasing the last one finishes all.
  [[nodiscard]] Transfer try_peek_many(std::span<RecordView> views, std::size_t& count) noexcept {
    Transfer answer = Transfer::kBlocked;
    for (count = 0; count != views.size(); ++count) {
      if (answer = try_peek(views[count]); answer != Transfer::kDone) break;
    }
    return count != 0 ? Transfer::kDone : answer;
  }

  // Copies the next record out, as much of it as `message` holds, and finishes it; `size_bytes` is
  // the whole record's.
  [[nodiscard]] Transfer try_pop(std::span<std::byte> message, std::uint64_t& size_bytes) noexcept {
    RecordView view;
    if (const Transfer answer = try_peek(view); answer != Transfer::kDone) return answer;
    size_bytes = view.message.size();
    const bool fits = view.message.size() <= message.size();
    copy_message_out<Atomics>(message.data(), view.message.data(),
                              fits ? view.message.size() : message.size());
    release(view);
    return Transfer::kDone;
  }

  // Whether try_peek() might not answer kBlocked.  Changes nothing, so that a waiter may ask.
  [[nodiscard]] bool has_message() const noexcept {
    if (cursor_.next() != tail_seen_) return true;
    const std::uint64_t tail =
        Atomics::load(peer_->tail, std::memory_order_acquire);  // record.B pairs with record.A
    return !is_nothing_new(tail);
  }

  // Finishes `view` and everything before it.
  void release(const RecordView& view) noexcept { cursor_.release(view.end_position); }

  // Finishes all that the producer has aborted, in one step; answers how many bytes of ring were
  // skipped.  Requires: nothing is held.
  std::uint64_t skip_aborted() noexcept {
    const std::uint64_t abort_before = cursor_.abort_before();
    const std::uint64_t skipped = take_before(abort_before);
    if (skipped != 0) cursor_.skip_to(abort_before);
    return skipped;
  }

  // Takes everything below `position`, the end of a record, at once and unseen: it is held, and
  // finished by a release up to there.  Answers how many bytes of ring; 0, and nothing changes, for
  // a position beyond what is published.
  std::uint64_t take_before(std::uint64_t position) noexcept {
    const std::uint64_t next = cursor_.next();
    if (position <= next) return 0;
    // An honest position was published before it was named.
    const std::uint64_t tail =
        Atomics::load(peer_->tail, std::memory_order_acquire);  // record.B pairs with record.A
    if (position % 8 != 0 || position > tail) return 0;         // a lie; try_peek() finds others
    if (tail % 8 != 0 || tail - cursor_.done() > capacity_) return 0;
    tail_seen_ = tail;
    cursor_.take(position);
    return position - next;
  }

  // Gives the producer all that is finished; before sleeping, for instance.
  void publish_credit() noexcept { cursor_.give_credit(); }

  [[nodiscard]] std::uint64_t position() const noexcept { return cursor_.next(); }
  [[nodiscard]] std::uint64_t done() const noexcept { return cursor_.done(); }
  // Whether the producer has aborted something that is not finished yet, held messages included.
  [[nodiscard]] bool has_abort() const noexcept { return cursor_.abort_before() > cursor_.done(); }
  [[nodiscard]] std::uint64_t abort_before() const noexcept { return cursor_.abort_before(); }
  // The credit that the producer was last given; who wakes producers compares it.
  [[nodiscard]] std::uint64_t credit_given() const noexcept { return cursor_.credit_given(); }

 private:
  using Cursor = BasicConsumerCursor<Atomics>;

  BasicRecordConsumer(const Cursor& cursor, const ProducerPage& peer, const std::byte* bytes,
                      const RecordGeometry& geometry) noexcept
      : peer_(&peer),
        bytes_(bytes),
        capacity_(geometry.capacity_bytes),
        start_(geometry.start_position),
        tail_seen_(cursor.done()),
        cursor_(cursor) {}

  // A tail that is still 0 is that of a producer which has published nothing.
  [[nodiscard]] bool is_nothing_new(std::uint64_t tail) const noexcept {
    return tail == cursor_.next() || (tail == 0 && cursor_.next() == start_);
  }

  [[nodiscard]] Transfer look() noexcept {
    std::uint64_t tail =
        Atomics::load(peer_->tail, std::memory_order_acquire);  // record.B pairs with record.A
    if (is_nothing_new(tail) && run_count_ >= kRunMessages) {
      pause_at_heels<Atomics>();
      tail = Atomics::load(peer_->tail, std::memory_order_acquire);  // record.B pairs with record.A
    }
    if (is_nothing_new(tail)) {
      run_count_ = 0;
      cursor_.give_credit();  // idle: nobody gains from our keeping it back
      return Transfer::kBlocked;
    }
    if (tail % 8 != 0 || tail < cursor_.next() || tail - cursor_.done() > capacity_) {
      return Transfer::kCorruptPeer;
    }
    tail_seen_ = tail;
    return Transfer::kDone;
  }

  // Read once: the producer could change it between a check and a use.
  [[nodiscard]] std::uint64_t header_at(std::uint64_t index) const noexcept {
    const auto& word = *reinterpret_cast<const std::atomic<std::uint64_t>*>(bytes_ + index);
    // relaxed: below tail, record.B has ordered it
    return Atomics::load(word, std::memory_order_relaxed);
  }

  const ProducerPage* peer_;
  const std::byte* bytes_;
  std::uint64_t capacity_;
  std::uint64_t start_;
  std::uint64_t tail_seen_;      // bounded when it was read; what is below may be looked at
  std::uint64_t run_count_ = 0;  // records since nothing was found the last time
  Cursor cursor_;
};

using RecordConsumer = BasicRecordConsumer<StdAtomics>;

}  // namespace slipring

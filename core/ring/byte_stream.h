// One producer, one consumer, bytes without boundaries, in place, in shared memory.
//
// Protocol.  The ring of record_ring.h without its headers: a position counts bytes since the
// beginning, an index is position & mask, and every byte below the published tail is there.  Writes
// and reads may be of any length and stop at any byte; what reaches over the end of the ring comes
// in two parts.  The ring holds exactly capacity_bytes.
//   producer's page: tail (read by a consumer that has read all it knew of), abort_before
//   producer's bytes: the stream
//   consumer's page: credit, done and taken, as consumer_cursor.h says
// Invariants: done <= taken <= tail <= done + capacity; credit <= done; all only grow.
// That no more will come is said by the link, not by the ring.
//
// Abort.  Everything before abort_before is no longer wanted; the consumer may leave it behind in
// one step.
//
// Crash.  What lies beyond tail never existed.  A consumer's successor starts at `done`: bytes that
// its predecessor had looked at and not consumed come again, counted as `redelivered_bytes`.
//
// Ordering.  stream.A -> stream.B  publish: who sees tail sees the bytes below it.
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
#include "core/ring/transfer.h"

namespace slipring {

inline constexpr std::uint64_t kMaxStreamBytes = std::uint64_t{1} << 40;

struct StreamGeometry {
  std::uint64_t capacity_bytes;  // a power of two, 1 to kMaxStreamBytes
  std::uint64_t start_position;  // the first byte's position; below 2^63
};

// Errors: kInvalidArgument with the offending value.
[[nodiscard]] inline Status stream_validate(const StreamGeometry& geometry) noexcept {
  const std::uint64_t capacity = geometry.capacity_bytes;
  if (capacity == 0 || capacity > kMaxStreamBytes || (capacity & (capacity - 1)) != 0) {
    return Error{ErrorCode::kInvalidArgument, 0,
                 "stream capacity is not a power of two from 1 byte to 1 TiB", capacity,
                 kMaxStreamBytes};
  }
  if (geometry.start_position >> 63 != 0) {
    return Error{ErrorCode::kInvalidArgument, 0, "start position is not below 2^63",
                 geometry.start_position, 0};
  }
  return {};
}

// A run of the stream: `second` continues `first`, and is empty unless the run reaches over the end
// of the ring.
template <typename Byte>
struct StreamParts {
  std::span<Byte> first;
  std::span<Byte> second;

  [[nodiscard]] std::size_t size() const noexcept { return first.size() + second.size(); }
};

namespace stream_detail {

// The run of `count` bytes from `position` on.  Requires: count <= capacity.
template <typename Byte>
[[nodiscard]] StreamParts<Byte> parts(Byte* bytes, std::uint64_t capacity, std::uint64_t position,
                                      std::uint64_t count) noexcept {
  const std::uint64_t index = position & (capacity - 1);
  const std::uint64_t to_end = capacity - index;
  if (count <= to_end) return {{bytes + index, static_cast<std::size_t>(count)}, {}};
  return {{bytes + index, static_cast<std::size_t>(to_end)},
          {bytes, static_cast<std::size_t>(count - to_end)}};
}

}  // namespace stream_detail

// The producer's end.  One thread at a time.
template <typename Atomics>
class BasicStreamProducer {
 public:
  // Takes the producing role over at the published tail.  The caller holds the role.
  // Errors: kInvalidArgument; kCorruptPeer when the consumer's cursor contradicts tail.
  [[nodiscard]] static Result<BasicStreamProducer> attach(ProducerPage& own, std::byte* bytes,
                                                          const ConsumerPage& peer,
                                                          const StreamGeometry& geometry) noexcept {
    if (Status valid = stream_validate(geometry); !valid) return valid.error();
    // relaxed: only our predecessor wrote tail, and attaching ordered us after it.
    std::uint64_t tail = Atomics::load(own.tail, std::memory_order_relaxed);
    if (tail < geometry.start_position) tail = geometry.start_position;
    Result<Credit> credit =
        Credit::attach(own, peer, geometry.start_position, tail, geometry.capacity_bytes);
    if (!credit) return credit.error();
    return BasicStreamProducer(own, bytes, credit.value(), geometry, tail);
  }

  // The free bytes behind what is published, valid until commit().  At least one, or kBlocked; the
  // consumer's page is looked at when fewer than `wanted_bytes` are known to be free.
  [[nodiscard]] Transfer try_reserve(StreamParts<std::byte>& room,
                                     std::uint64_t wanted_bytes = 1) noexcept {
    if (wanted_bytes == 0) wanted_bytes = 1;
    if (wanted_bytes > capacity_) wanted_bytes = capacity_;
    if (!credit_.covers(tail_ + wanted_bytes)) {
      // kBlocked only says that not all of `wanted_bytes` are free.
      if (credit_.look(tail_ + wanted_bytes, tail_) == Transfer::kCorruptPeer) {
        return Transfer::kCorruptPeer;
      }
    }
    reserved_bytes_ = credit_.room_end() - tail_;
    if (reserved_bytes_ == 0) return Transfer::kBlocked;
    room = stream_detail::parts(bytes_, capacity_, tail_, reserved_bytes_);
    return Transfer::kDone;
  }

  // Publishes the first `count` bytes of what was reserved.  Memory ordering: what was written to
  // them before is visible to the consumer whose try_peek() returns them.
  void commit(std::uint64_t count) noexcept {
    check(count <= reserved_bytes_, "more bytes than reserved");
    reserved_bytes_ = 0;
    tail_ += count;
    Atomics::store(own_->tail, tail_, std::memory_order_release);  // stream.A pairs with stream.B
  }

  // Copies in and publishes as much of `bytes` as there is room for; `count` says how much.  kDone
  // when that is at least one byte, or when there was nothing to write.
  [[nodiscard]] Transfer try_write(std::span<const std::byte> bytes, std::size_t& count) noexcept {
    count = 0;
    if (bytes.empty()) return Transfer::kDone;
    StreamParts<std::byte> room;
    if (const Transfer answer = try_reserve(room, bytes.size()); answer != Transfer::kDone) {
      return answer;
    }
    const std::size_t first = bytes.size() < room.first.size() ? bytes.size() : room.first.size();
    copy_message_in<Atomics>(room.first.data(), bytes.data(), first);
    const std::size_t rest = bytes.size() - first;
    const std::size_t second = rest < room.second.size() ? rest : room.second.size();
    if (second != 0) copy_message_in<Atomics>(room.second.data(), bytes.data() + first, second);
    count = first + second;
    commit(count);
    return Transfer::kDone;
  }

  // Whether `wanted_bytes` are free, or the consumer is corrupt.  Changes nothing, so that a waiter
  // may ask.  Requires: wanted_bytes <= capacity_bytes().
  [[nodiscard]] bool has_space(std::uint64_t wanted_bytes = 1) const noexcept {
    return credit_.would_cover(tail_ + wanted_bytes, tail_);
  }

  // Everything published so far is no longer wanted; the consumer may skip it in one step.
  void abort_published() noexcept { credit_.abort_before(tail_); }

  [[nodiscard]] std::uint64_t position() const noexcept { return tail_; }
  [[nodiscard]] std::uint64_t capacity_bytes() const noexcept { return capacity_; }
  // The consumer's exact cursor, bounded by what we know to be possible.
  [[nodiscard]] std::uint64_t done() const noexcept { return credit_.done(tail_); }

 private:
  using Credit = BasicProducerCredit<Atomics>;

  BasicStreamProducer(ProducerPage& own, std::byte* bytes, const Credit& credit,
                      const StreamGeometry& geometry, std::uint64_t tail) noexcept
      : own_(&own),
        bytes_(bytes),
        capacity_(geometry.capacity_bytes),
        tail_(tail),
        credit_(credit) {}

  ProducerPage* own_;
  std::byte* bytes_;
  std::uint64_t capacity_;
  std::uint64_t tail_;  // private: a scribbled page cannot move our writes
  Credit credit_;
  std::uint64_t reserved_bytes_ = 0;
};

using StreamProducer = BasicStreamProducer<StdAtomics>;

// What has been published and not consumed; valid until it is consumed.
struct StreamView {
  StreamParts<const std::byte> bytes;
  std::uint64_t position = 0;           // of the first byte
  std::uint64_t redelivered_bytes = 0;  // from the first on: a predecessor had looked at them
  std::uint64_t aborted_bytes = 0;      // from the first on: the producer no longer wants them
};

// The consumer's end.  One thread at a time.
template <typename Atomics>
class BasicStreamConsumer {
 public:
  // Takes the consuming role over at the cursor that its own page shows.
  // Errors: kInvalidArgument; kCorruptPeer when the own page's cursor is impossible.
  [[nodiscard]] static Result<BasicStreamConsumer> attach(ConsumerPage& own,
                                                          const ProducerPage& peer,
                                                          const std::byte* bytes,
                                                          const StreamGeometry& geometry) noexcept {
    if (Status valid = stream_validate(geometry); !valid) return valid.error();
    Result<Cursor> cursor =
        Cursor::attach(own, peer, geometry.start_position, geometry.capacity_bytes);
    if (!cursor) return cursor.error();
    return BasicStreamConsumer(cursor.value(), peer, bytes, geometry);
  }

  // Looks at the bytes that have not been consumed, without copying.  At least one, or kBlocked;
  // the producer's page is looked at when fewer than `wanted_bytes` are known to be there.  Peeking
  // again before consume() gives the same bytes, and perhaps more.
  [[nodiscard]] Transfer try_peek(StreamView& view, std::uint64_t wanted_bytes = 1) noexcept {
    if (const Transfer answer = look(wanted_bytes); answer != Transfer::kDone) return answer;
    const std::uint64_t done = cursor_.done();
    const std::uint64_t count = tail_seen_ - done;
    view = {stream_detail::parts(bytes_, capacity_, done, count), done,
            below(cursor_.redeliver_before()), below(cursor_.abort_before())};
    cursor_.take(tail_seen_);
    return Transfer::kDone;
  }

  // Finishes the first `count` bytes of what was looked at.
  void consume(std::uint64_t count) noexcept {
    check(count <= cursor_.next() - cursor_.done(), "more bytes than were looked at");
    if (count != 0) cursor_.release(cursor_.done() + count);
  }

  // Copies out and finishes as many bytes as are there, at most bytes.size(); `count` says how
  // many. kDone when that is at least one, or when nothing was asked for.
  [[nodiscard]] Transfer try_read(std::span<std::byte> bytes, std::size_t& count) noexcept {
    count = 0;
    if (bytes.empty()) return Transfer::kDone;
    if (const Transfer answer = look(bytes.size()); answer != Transfer::kDone) return answer;
    const std::uint64_t there = tail_seen_ - cursor_.done();
    count = there < bytes.size() ? static_cast<std::size_t>(there) : bytes.size();
    const auto parts = stream_detail::parts(bytes_, capacity_, cursor_.done(), count);
    const std::uint64_t end = cursor_.done() + count;
    if (end > cursor_.next()) cursor_.take(end);
    copy_message_out<Atomics>(bytes.data(), parts.first.data(), parts.first.size());
    if (!parts.second.empty()) {
      copy_message_out<Atomics>(bytes.data() + parts.first.size(), parts.second.data(),
                                parts.second.size());
    }
    cursor_.release(end);
    return Transfer::kDone;
  }

  // Whether `wanted_bytes` are there, or the producer is corrupt.  Changes nothing, so that a
  // waiter may ask.
  [[nodiscard]] bool has_bytes(std::uint64_t wanted_bytes = 1) const noexcept {
    if (tail_seen_ - cursor_.done() >= wanted_bytes) return true;
    const std::uint64_t tail =
        Atomics::load(peer_->tail, std::memory_order_acquire);  // stream.B pairs with stream.A
    if (is_nothing_new(tail)) return false;
    return !is_possible(tail) || tail - cursor_.done() >= wanted_bytes;
  }

  // Finishes all that the producer has aborted, in one step; answers how many bytes.  What was
  // looked at and not consumed is skipped too.
  std::uint64_t skip_aborted() noexcept {
    const std::uint64_t abort_before = cursor_.abort_before();
    const std::uint64_t skipped = take_before(abort_before);
    if (skipped != 0) cursor_.skip_to(abort_before);
    return skipped;
  }

  // Takes everything below `position` at once, unseen: it counts as looked at.  Answers how many
  // bytes are not consumed below there; 0, and nothing changes, for a position beyond what is
  // published.
  std::uint64_t take_before(std::uint64_t position) noexcept {
    const std::uint64_t done = cursor_.done();
    if (position <= done) return 0;
    // An honest position was published before it was named.
    const std::uint64_t tail =
        Atomics::load(peer_->tail, std::memory_order_acquire);  // stream.B pairs with stream.A
    if (position > tail || !is_possible(tail)) return 0;        // a lie; try_peek() finds others
    tail_seen_ = tail;
    if (position > cursor_.next()) cursor_.take(position);
    return position - done;
  }

  // Gives the producer all that is finished; before sleeping, for instance.
  void publish_credit() noexcept { cursor_.give_credit(); }

  // First byte not yet finished.
  [[nodiscard]] std::uint64_t done() const noexcept { return cursor_.done(); }
  // First byte not yet looked at.
  [[nodiscard]] std::uint64_t position() const noexcept { return cursor_.next(); }
  // Whether the producer has aborted something that is not finished yet.
  [[nodiscard]] bool has_abort() const noexcept { return cursor_.abort_before() > cursor_.done(); }
  // First position that the producer still wants, as it says itself; 0 before its first abort.
  [[nodiscard]] std::uint64_t abort_before() const noexcept { return cursor_.abort_before(); }
  // The credit that the producer was last given; who wakes producers compares it.
  [[nodiscard]] std::uint64_t credit_given() const noexcept { return cursor_.credit_given(); }

 private:
  using Cursor = BasicConsumerCursor<Atomics>;

  BasicStreamConsumer(const Cursor& cursor, const ProducerPage& peer, const std::byte* bytes,
                      const StreamGeometry& geometry) noexcept
      : peer_(&peer),
        bytes_(bytes),
        capacity_(geometry.capacity_bytes),
        start_(geometry.start_position),
        tail_seen_(cursor.done()),
        cursor_(cursor) {}

  // A tail that is still 0 is that of a producer which has published nothing.
  [[nodiscard]] bool is_nothing_new(std::uint64_t tail) const noexcept {
    return tail == tail_seen_ || (tail == 0 && tail_seen_ == start_);
  }
  [[nodiscard]] bool is_possible(std::uint64_t tail) const noexcept {
    return tail >= tail_seen_ && tail - cursor_.done() <= capacity_;
  }
  // How many of the bytes that are there lie below `position`.
  [[nodiscard]] std::uint64_t below(std::uint64_t position) const noexcept {
    if (position <= cursor_.done()) return 0;
    return (position < tail_seen_ ? position : tail_seen_) - cursor_.done();
  }

  // Learns of more bytes when fewer than wanted are known; kBlocked when there are none at all.
  [[nodiscard]] Transfer look(std::uint64_t wanted_bytes) noexcept {
    if (tail_seen_ - cursor_.done() >= wanted_bytes && tail_seen_ != cursor_.done()) [[likely]] {
      return Transfer::kDone;
    }
    const std::uint64_t tail =
        Atomics::load(peer_->tail, std::memory_order_acquire);  // stream.B pairs with stream.A
    if (is_nothing_new(tail)) {
      cursor_.give_credit();  // idle: nobody gains from our keeping it back
    } else if (is_possible(tail)) {
      tail_seen_ = tail;
    } else {
      return Transfer::kCorruptPeer;
    }
    return tail_seen_ != cursor_.done() ? Transfer::kDone : Transfer::kBlocked;
  }

  const ProducerPage* peer_;
  const std::byte* bytes_;
  std::uint64_t capacity_;
  std::uint64_t start_;
  std::uint64_t tail_seen_;  // bounded when it was read; what is below may be looked at
  Cursor cursor_;
};

using StreamConsumer = BasicStreamConsumer<StdAtomics>;

}  // namespace slipring

// A link that carries values of one type: the typed ring (core/ring/spsc_ring.h) in a named
// segment, with doorbells and certificates.  The fastest link there is; all of it is inlined.
//
// Types.  A type may say which one it is by a number of its own choice,
//   static constexpr std::uint64_t kValueMark = 0x…;   another one whenever its layout changes
// which the link then keeps: ends of a type with another mark are refused, here and over a wire
// (pipelines/wire/WIRE.md).  Without it, or with 0, only the size is compared.
//
// One thread at a time an end.  Nothing is allocated after attach().  The ends count no messages of
// their own: the ring's positions say how many there were.
//
// Crash, Ordering.  As the ring: what had been published stays; what a dead reader had peeked and
// not released comes again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "core/error/result.h"
#include "core/ring/spsc_ring.h"
#include "core/ring/transfer.h"
#include "pipelines/link/link_end.h"
#include "pipelines/link/link_segment.h"
#include "platform/wait/doorbell.h"

namespace slipring {

// 0: the type does not say.
template <SpscValue T>
[[nodiscard]] constexpr std::uint64_t value_mark_of() noexcept {
  if constexpr (requires { T::kValueMark; }) return T::kValueMark;
  return 0;
}

// What to give to create_link() for a link that holds `value_count` values of type T.
template <SpscValue T>
[[nodiscard]] LinkShape value_link_shape(std::uint64_t value_count) noexcept {
  LinkShape shape;
  shape.kind = SegmentKind::kValueLink;
  shape.slot_count = value_count;
  shape.slot_bytes = sizeof(T);
  shape.value_mark = value_mark_of<T>();
  return shape;
}

// Errors: kVersion when the link carries something else than values of this size and mark.
[[nodiscard]] inline Status expect_values(const LinkShape& shape, std::size_t value_bytes,
                                          std::uint64_t value_mark) noexcept {
  if (shape.kind != SegmentKind::kValueLink) {
    return Error{ErrorCode::kVersion, 0, "not a value link", static_cast<std::uint64_t>(shape.kind),
                 static_cast<std::uint64_t>(SegmentKind::kValueLink)};
  }
  if (shape.slot_bytes != value_bytes) {
    return Error{ErrorCode::kVersion, 0, "the link carries values of another size",
                 shape.slot_bytes, value_bytes};
  }
  if (value_mark != 0 && shape.value_mark != 0 && value_mark != shape.value_mark) {
    return Error{ErrorCode::kVersion, 0, "the link carries values of another type",
                 shape.value_mark, value_mark};
  }
  return {};
}

template <SpscValue T>
class ValueWriter {
 public:
  // Takes the writing role, of a fresh link or of a dead predecessor.  Errors: kVersion (another
  // type of link or value); as LinkWriter::attach().
  static Result<ValueWriter> attach(const SegmentDirectory& directory, std::string_view name,
                                    MemoryLock memory_lock = MemoryLock::kTry) noexcept {
    Result<LinkHold> hold = take_role(directory, name, Role::kWriter, memory_lock);
    if (!hold) return hold.error();
    if (Status fits = expect_values(hold->shape, sizeof(T), value_mark_of<T>()); !fits) {
      return fits.error();
    }
    LinkEnd end(std::move(hold).value());
    Result<SpscProducer<T>> ring = SpscProducer<T>::attach(
        *reinterpret_cast<ProducerPage*>(end.own_bytes()),
        reinterpret_cast<T*>(end.own_bytes() + end.parts().ring_offset),
        *reinterpret_cast<const ConsumerPage*>(end.peer_bytes()), value_geometry(end.shape()));
    if (!ring) return ring.error();
    end.open();
    return ValueWriter(std::move(end), *ring);
  }

  // As SpscProducer, and wakes a reader that sleeps.
  [[nodiscard]] Transfer try_push(const T& value) noexcept {
    return rung([&] { return ring_.try_push(value); });
  }
  [[nodiscard]] Transfer try_push_batch(std::span<const T> values, std::size_t& pushed) noexcept {
    return rung([&] { return ring_.try_push_batch(values, pushed); });
  }
  [[nodiscard]] Transfer try_reserve(std::span<T>& slots) noexcept {
    const auto try_it = [&] { return ring_.try_reserve(slots); };
    const Transfer answer = try_it();
    return answer == Transfer::kDone ? answer : end_.settle(answer, try_it);
  }
  void commit(std::size_t count) noexcept {
    ring_.commit(count);
    end_.ring();
  }

  // What has been published is no longer wanted.
  void abort_published() noexcept {
    ring_.abort_published();
    end_.ring_always();
  }
  // As LinkWriter: what the reader has dropped.
  [[nodiscard]] DropReport drops() const noexcept { return end_.peer_drops(); }
  // Finished for good: the reader sees the end of the stream once it has read everything.
  void close() noexcept { end_.close(); }

  [[nodiscard]] bool has_space() const noexcept { return ring_.has_space() || end_.has_news(); }
  // The reader has finished for good: nobody will read what is written.
  [[nodiscard]] bool is_peer_closed() const noexcept { return end_.is_peer_closed(); }
  // What to sleep on until the reader gives space back.
  [[nodiscard]] WaitPoint space_point() noexcept { return end_.wait_point(); }
  // As LinkWriter: replaced peers, and who reads.
  [[nodiscard]] std::optional<WaitPoint> news_point() noexcept { return end_.news_point(); }
  void look_for_news() noexcept { static_cast<void>(end_.take_news()); }
  [[nodiscard]] LinkPeer receiver() const noexcept { return end_.peer_identity(); }
  [[nodiscard]] ProtectionLevel protection() const noexcept { return end_.protection(); }
  void count_sleep(std::uint64_t more = 1) noexcept { end_.count_sleep(more); }

  [[nodiscard]] std::uint64_t position() const noexcept { return ring_.position(); }
  [[nodiscard]] const LinkShape& shape() const noexcept { return end_.shape(); }
  [[nodiscard]] std::uint32_t incarnation() const noexcept { return end_.incarnation(); }
  [[nodiscard]] bool is_locked() const noexcept { return end_.is_locked(); }

 private:
  ValueWriter(LinkEnd end, const SpscProducer<T>& ring) noexcept
      : end_(std::move(end)), ring_(ring) {}

  template <typename Try>
  Transfer rung(Try&& try_it) noexcept {
    Transfer answer = try_it();
    if (answer != Transfer::kDone) [[unlikely]] {
      answer = end_.settle(answer, try_it);
      if (answer != Transfer::kDone) return answer;
    }
    end_.ring();
    return Transfer::kDone;
  }

  LinkEnd end_;
  SpscProducer<T> ring_;
};

template <SpscValue T>
class ValueReader {
 public:
  // Takes the reading role.  Errors: as ValueWriter::attach().
  static Result<ValueReader> attach(const SegmentDirectory& directory, std::string_view name,
                                    MemoryLock memory_lock = MemoryLock::kTry) noexcept {
    Result<LinkHold> hold = take_role(directory, name, Role::kReader, memory_lock);
    if (!hold) return hold.error();
    if (Status fits = expect_values(hold->shape, sizeof(T), value_mark_of<T>()); !fits) {
      return fits.error();
    }
    LinkEnd end(std::move(hold).value());
    Result<SpscConsumer<T>> ring = SpscConsumer<T>::attach(
        *reinterpret_cast<ConsumerPage*>(end.own_bytes()),
        *reinterpret_cast<const ProducerPage*>(end.peer_bytes()),
        reinterpret_cast<const T*>(end.peer_bytes() + end.parts().ring_offset),
        value_geometry(end.shape()));
    if (!ring) return ring.error();
    end.open();
    return ValueReader(std::move(end), *ring);
  }

  // As SpscConsumer, and wakes a writer that sleeps, a quarter of a lap at a time.
  [[nodiscard]] Transfer try_pop(T& value) noexcept {
    return rung([&] { return ring_.try_pop(value); });
  }
  [[nodiscard]] Transfer try_pop_batch(std::span<T> values, std::size_t& popped) noexcept {
    return rung([&] { return ring_.try_pop_batch(values, popped); });
  }
  [[nodiscard]] Transfer try_peek(std::span<const T>& values) noexcept {
    return rung([&] { return ring_.try_peek(values); });
  }
  void release(std::size_t count) noexcept {
    ring_.release(count);
    ring_for_credit();
  }

  // How many values, from the first unfinished one on, a predecessor had taken and not finished.
  [[nodiscard]] std::uint64_t redelivered_count() const noexcept {
    return ring_.redelivered_count();
  }
  // Drops all that the writer has aborted, in one step; answers how many.  Requires: nothing is
  // held.
  std::uint64_t skip_aborted() noexcept {
    const std::uint64_t before = ring_.done();
    static_cast<void>(drop_before(end_.peer_abort_before()));
    return ring_.done() - before;
  }
  // Drops at once what a command in the control lane names.  Only a reader that finds nothing does
  // it by itself: a look at every value would cost what the fastest link is for, so call it as
  // often as is worth while.  Requires: nothing is held.
  [[gnu::noinline]] void obey_commands() noexcept {
    const std::optional<AbortCommand> command = end_.take_command();
    if (!command || !has_command()) return;
    end_.note_obeyed(*command, drop_before(command->boundary.position));
  }
  [[nodiscard]] bool has_command() const noexcept { return end_.control().has_command(); }
  [[nodiscard]] WaitPoint control_point() noexcept { return end_.control().wait_point(); }
  // For a ControlAlarm.
  [[nodiscard]] ControlWatch control_watch() const noexcept { return end_.control_watch(); }
  [[nodiscard]] bool has_abort() const noexcept { return ring_.has_abort(); }
  // Finished for good: the writer learns that nobody will read on.
  void close() noexcept { end_.close(); }

  [[nodiscard]] bool has_value() const noexcept {
    return ring_.has_value() || end_.has_news() ||
           (has_command() && ring_.position() == ring_.done());
  }
  // The writer has closed and everything has been looked at.
  [[nodiscard]] bool is_finished() const noexcept {
    // In this order: what was published before closing is seen now.
    return end_.is_peer_closed() && !has_value();
  }
  // What to sleep on until the writer publishes or closes.
  [[nodiscard]] WaitPoint value_point() noexcept { return end_.wait_point(); }
  // As LinkWriter: replaced peers, and who writes.
  [[nodiscard]] std::optional<WaitPoint> news_point() noexcept { return end_.news_point(); }
  void look_for_news() noexcept { static_cast<void>(end_.take_news()); }
  [[nodiscard]] LinkPeer sender() const noexcept { return end_.peer_identity(); }
  [[nodiscard]] ProtectionLevel protection() const noexcept { return end_.protection(); }
  void count_sleep(std::uint64_t more = 1) noexcept { end_.count_sleep(more); }

  [[nodiscard]] const LinkShape& shape() const noexcept { return end_.shape(); }
  [[nodiscard]] std::uint32_t incarnation() const noexcept { return end_.incarnation(); }
  [[nodiscard]] bool is_locked() const noexcept { return end_.is_locked(); }

 private:
  ValueReader(LinkEnd end, const SpscConsumer<T>& ring) noexcept
      : end_(std::move(end)), ring_(ring) {}

  template <typename Try>
  Transfer rung(Try&& try_it) noexcept {
    Transfer answer = try_it();
    if (answer != Transfer::kDone) [[unlikely]] {
      // With values held the command waits until they are released.
      if (has_command() && ring_.position() == ring_.done()) obey_commands();
      answer = end_.settle(answer, try_it);
    }
    ring_for_credit();
    return answer;
  }
  // False when the position is impossible.
  bool drop_before(std::uint64_t position) noexcept {
    const std::uint64_t done = ring_.done();
    check(ring_.position() == done, "skipping while values are held");
    if (position <= done) return true;
    const std::uint64_t dropped = ring_.take_before(position);
    if (dropped == 0) return false;
    begin_drop(end_.own().drops, done, position, {dropped, dropped * sizeof(T)});
    ring_.release(static_cast<std::size_t>(dropped));
    ring_.publish_credit();
    ring_for_credit();
    return true;
  }
  void ring_for_credit() noexcept {
    if (ring_.credit_given() == rung_credit_) [[likely]]
      return;
    rung_credit_ = ring_.credit_given();
    end_.ring();
  }

  LinkEnd end_;
  SpscConsumer<T> ring_;
  std::uint64_t rung_credit_ = 0;
};

}  // namespace slipring

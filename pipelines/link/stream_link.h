// A link that carries bytes without boundaries, as a pipe does: the byte stream
// (core/ring/byte_stream.h) in a named segment, with doorbells and certificates.
//
// One thread at a time an end.  Nothing is allocated after attach().
//
// Crash, Ordering.  As the ring: what had been published stays; bytes that a dead reader had looked
// at and not consumed come again.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "core/error/result.h"
#include "core/ring/byte_stream.h"
#include "core/ring/transfer.h"
#include "pipelines/link/link_end.h"
#include "pipelines/link/link_segment.h"
#include "platform/wait/doorbell.h"

namespace slipring {

// What to give to create_link() for a stream of `capacity_bytes`, a power of two.
[[nodiscard]] inline LinkShape stream_link_shape(std::uint64_t capacity_bytes) noexcept {
  LinkShape shape;
  shape.kind = SegmentKind::kStreamLink;
  shape.capacity_bytes = capacity_bytes;
  return shape;
}

class StreamWriter {
 public:
  // Takes the writing role, of a fresh link or of a dead predecessor.  Errors: kVersion (another
  // kind of link); as LinkWriter::attach().
  static Result<StreamWriter> attach(const SegmentDirectory& directory, std::string_view name,
                                     MemoryLock memory_lock = MemoryLock::kTry) noexcept;

  // As StreamProducer: the free room, in up to two parts, to be filled in place.
  [[nodiscard]] Transfer try_reserve(StreamParts<std::byte>& room,
                                     std::uint64_t wanted_bytes = 1) noexcept {
    return noted([&] { return ring_.try_reserve(room, wanted_bytes); });
  }
  // Publishes the first `count` bytes of it, and wakes a reader that sleeps.
  void commit(std::uint64_t count) noexcept {
    ring_.commit(count);
    end_.ring();
  }
  // Copies in and publishes what there is room for; `count` says how much.
  [[nodiscard]] Transfer try_write(std::span<const std::byte> bytes, std::size_t& count) noexcept {
    const Transfer answer = noted([&] { return ring_.try_write(bytes, count); });
    if (count != 0) end_.ring();
    return answer;
  }

  // What has been published is no longer wanted.
  void abort_published() noexcept {
    ring_.abort_published();
    end_.ring_always();
  }
  // As LinkWriter: what the reader has dropped; of messages a stream knows nothing.
  [[nodiscard]] DropReport drops() const noexcept { return end_.peer_drops(); }
  // Finished for good: the reader sees the end of the stream once it has read everything.
  void close() noexcept { end_.close(); }

  [[nodiscard]] bool has_space(std::uint64_t wanted_bytes = 1) const noexcept {
    return ring_.has_space(wanted_bytes) || end_.has_news();
  }
  // The reader has finished for good: nobody will read what is written.
  [[nodiscard]] bool is_peer_closed() const noexcept { return end_.is_peer_closed(); }
  // What to sleep on until the reader gives space back.
  [[nodiscard]] WaitPoint space_point() noexcept { return end_.wait_point(); }
  // The eventfd of a reader that sleeps in a loop of its own (event_bell.h): every later ring
  // signals it.  Borrowed.
  void attach_event(int event_fd) noexcept { end_.attach_event(event_fd); }
  // As LinkWriter: replaced peers, and who reads.
  [[nodiscard]] std::optional<WaitPoint> news_point() noexcept { return end_.news_point(); }
  // As LinkWriter::look_for_news().
  void look_for_news() noexcept { static_cast<void>(end_.take_news()); }
  [[nodiscard]] LinkPeer receiver() const noexcept { return end_.peer_identity(); }
  [[nodiscard]] ProtectionLevel protection() const noexcept { return end_.protection(); }
  void count_sleep(std::uint64_t more = 1) noexcept { end_.count_sleep(more); }

  // Bytes published since the beginning, by predecessors too; and of these, read to their end.
  [[nodiscard]] std::uint64_t position() const noexcept { return ring_.position(); }
  [[nodiscard]] std::uint64_t done() const noexcept { return ring_.done(); }
  [[nodiscard]] const LinkShape& shape() const noexcept { return end_.shape(); }
  [[nodiscard]] std::uint32_t incarnation() const noexcept { return end_.incarnation(); }
  // How many have held the other end so far, as they say themselves.
  [[nodiscard]] std::uint32_t peer_incarnation() const noexcept { return end_.peer_incarnation(); }

 private:
  StreamWriter(LinkEnd end, const StreamProducer& ring) noexcept
      : end_(std::move(end)), ring_(ring) {}

  template <typename Try>
  Transfer noted(Try&& try_it) noexcept {
    const Transfer answer = try_it();
    return answer == Transfer::kDone ? answer : end_.settle(answer, try_it);
  }

  LinkEnd end_;
  StreamProducer ring_;
};

class StreamReader {
 public:
  // Takes the reading role.  Errors: as StreamWriter::attach().
  static Result<StreamReader> attach(const SegmentDirectory& directory, std::string_view name,
                                     MemoryLock memory_lock = MemoryLock::kTry) noexcept;

  // As StreamConsumer: what is there, in up to two parts, in place.
  [[nodiscard]] Transfer try_peek(StreamView& view, std::uint64_t wanted_bytes = 1) noexcept {
    if (end_.control().is_due()) [[unlikely]]
      obey_commands();
    return noted([&] { return ring_.try_peek(view, wanted_bytes); });
  }
  // Finishes the first `count` bytes of it, and wakes a writer that sleeps when that gave it room.
  void consume(std::uint64_t count) noexcept {
    ring_.consume(count);
    ring_for_credit();
  }
  // Copies out and finishes what is there; `count` says how much.
  [[nodiscard]] Transfer try_read(std::span<std::byte> bytes, std::size_t& count) noexcept {
    if (end_.control().is_due()) [[unlikely]]
      obey_commands();
    const Transfer answer = noted([&] { return ring_.try_read(bytes, count); });
    ring_for_credit();
    return answer;
  }

  // Drops all that the writer has aborted, in one step; answers how many bytes.
  std::uint64_t skip_aborted() noexcept {
    const std::uint64_t before = ring_.done();
    static_cast<void>(drop_before(end_.peer_abort_before()));
    if (end_.control().is_by_hand()) obey_commands();
    return ring_.done() - before;
  }
  // Drops at once what a command in the control lane names, what was looked at and not consumed
  // included.  try_peek() and try_read() do it by themselves, at every `interval`-th call and
  // whenever there is nothing.
  void obey_commands() noexcept;
  [[nodiscard]] bool has_command() const noexcept { return end_.control().has_command(); }
  void set_control_interval(std::uint32_t interval) noexcept {
    end_.control().set_interval(interval);
  }
  // What to sleep on until a command comes, where that is not the wait for bytes.
  [[nodiscard]] WaitPoint control_point() noexcept { return end_.control().wait_point(); }
  // For a ControlAlarm.
  [[nodiscard]] ControlWatch control_watch() const noexcept { return end_.control_watch(); }
  [[nodiscard]] bool has_abort() const noexcept { return abort_before() > ring_.done(); }
  // First byte that the writer, or with kControlByHand a command, still wants, as it says itself; 0
  // before the first abort.
  [[nodiscard]] std::uint64_t abort_before() const noexcept {
    return std::max(ring_.abort_before(), end_.control().abort_before());
  }
  // Finished for good: the writer learns that nobody will read on.
  void close() noexcept { end_.close(); }

  [[nodiscard]] bool has_bytes(std::uint64_t wanted_bytes = 1) const noexcept {
    return ring_.has_bytes(wanted_bytes) || end_.has_news() || end_.control().is_due_when_idle();
  }
  [[nodiscard]] bool is_peer_closed() const noexcept { return end_.is_peer_closed(); }
  // The writer has closed and everything has been consumed.
  [[nodiscard]] bool is_finished() const noexcept {
    // In this order: what was published before closing is seen now.
    return end_.is_peer_closed() && !has_bytes();
  }
  // What to sleep on until the writer publishes or closes.
  [[nodiscard]] WaitPoint byte_point() noexcept { return end_.wait_point(); }
  // The eventfd of a writer that sleeps in a loop of its own (event_bell.h): every later ring
  // signals it.  Borrowed.
  void attach_event(int event_fd) noexcept { end_.attach_event(event_fd); }
  // As LinkReader: replaced peers, and who writes.
  [[nodiscard]] std::optional<WaitPoint> news_point() noexcept { return end_.news_point(); }
  // As LinkWriter::look_for_news().
  void look_for_news() noexcept { static_cast<void>(end_.take_news()); }
  [[nodiscard]] LinkPeer sender() const noexcept { return end_.peer_identity(); }
  [[nodiscard]] ProtectionLevel protection() const noexcept { return end_.protection(); }
  void count_sleep(std::uint64_t more = 1) noexcept { end_.count_sleep(more); }

  [[nodiscard]] std::uint64_t done() const noexcept { return ring_.done(); }
  [[nodiscard]] const LinkShape& shape() const noexcept { return end_.shape(); }
  [[nodiscard]] std::uint32_t incarnation() const noexcept { return end_.incarnation(); }
  // How many have held the other end so far, as they say themselves.
  [[nodiscard]] std::uint32_t peer_incarnation() const noexcept { return end_.peer_incarnation(); }

 private:
  StreamReader(LinkEnd end, const StreamConsumer& ring) noexcept
      : end_(std::move(end)), ring_(ring) {}

  [[nodiscard]] bool drop_before(std::uint64_t position) noexcept;

  template <typename Try>
  Transfer noted(Try&& try_it) noexcept {
    const Transfer answer = try_it();
    if (answer == Transfer::kDone) [[likely]]
      return answer;
    ring_for_credit();  // an empty ring gives its credit back
    if (end_.control().is_due_when_idle()) obey_commands();
    return end_.settle(answer, try_it);
  }
  void ring_for_credit() noexcept {
    if (ring_.credit_given() == rung_credit_) return;
    rung_credit_ = ring_.credit_given();
    end_.ring();
  }

  LinkEnd end_;
  StreamConsumer ring_;
  std::uint64_t rung_credit_ = 0;
};

}  // namespace slipring

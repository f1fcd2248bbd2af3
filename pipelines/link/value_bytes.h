// The ends of a value link (value_link.h) for who does not know the type: its values as bytes, in
// runs, as a stream has them.
//
// Positions count values.  What is said of ValueWriter and ValueReader holds; the memory is the
// same, and either end may be of the one sort and its successor, or the other end, of the other.
//
// One thread at a time an end.  Nothing is allocated after attach().
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "core/error/result.h"
#include "core/ring/byte_stream.h"
#include "core/ring/spsc_ring.h"
#include "core/ring/transfer.h"
#include "pipelines/link/link_end.h"
#include "pipelines/link/link_segment.h"
#include "platform/wait/doorbell.h"

namespace slipring {

class ValueBytesWriter {
 public:
  // Takes the writing role.  Errors: kVersion (another kind of link); as LinkWriter::attach().
  static Result<ValueBytesWriter> attach(const SegmentDirectory& directory, std::string_view name,
                                         MemoryLock memory_lock = MemoryLock::kTry) noexcept;

  // The place of the next `count` values, in up to two parts.  Requires: count <= slot_count.
  [[nodiscard]] Transfer try_reserve(StreamParts<std::byte>& place, std::uint64_t count) noexcept;
  // Publishes the first `count` of them together, and wakes a reader that sleeps.
  void commit(std::uint64_t count) noexcept {
    ring_.commit_run(count);
    end_.ring();
  }

  // What has been published is no longer wanted.
  void abort_published() noexcept {
    ring_.abort_published();
    end_.ring_always();
  }
  // As LinkWriter.
  [[nodiscard]] DropReport drops() const noexcept { return end_.peer_drops(); }
  void close() noexcept { end_.close(); }
  [[nodiscard]] bool has_space(std::uint64_t count) const noexcept {
    return ring_.has_space(count) || end_.has_news();
  }
  [[nodiscard]] bool is_peer_closed() const noexcept { return end_.is_peer_closed(); }
  [[nodiscard]] WaitPoint space_point() noexcept { return end_.wait_point(); }
  [[nodiscard]] std::optional<WaitPoint> news_point() noexcept { return end_.news_point(); }
  void look_for_news() noexcept { static_cast<void>(end_.take_news()); }
  void attach_event(int event_fd) noexcept { end_.attach_event(event_fd); }

  [[nodiscard]] std::uint64_t position() const noexcept { return ring_.position(); }
  [[nodiscard]] std::uint64_t done() const noexcept { return ring_.done(); }
  [[nodiscard]] const LinkShape& shape() const noexcept { return end_.shape(); }

 private:
  ValueBytesWriter(LinkEnd end, const SpscProducer<std::byte>& ring) noexcept
      : end_(std::move(end)), ring_(ring) {}

  LinkEnd end_;
  SpscProducer<std::byte> ring_;  // places only: where a value's bytes lie is told from its place
};

class ValueBytesReader {
 public:
  // Takes the reading role.  Errors: as ValueBytesWriter::attach().
  static Result<ValueBytesReader> attach(const SegmentDirectory& directory, std::string_view name,
                                         MemoryLock memory_lock = MemoryLock::kTry) noexcept;

  // At most `count_max` values from `position` on, in place, in up to two parts: in memory that the
  // writer could still change, so read every word once.  `count` says how many; at least one, or
  // kBlocked.  They are held until consumed.  Requires: position >= done().
  [[nodiscard]] Transfer try_peek(std::uint64_t position, std::uint64_t count_max,
                                  StreamParts<const std::byte>& values,
                                  std::uint64_t& count) noexcept;
  // Finishes the `count` values that have been held longest, and wakes a writer that waits.
  void consume(std::uint64_t count) noexcept {
    ring_.release(static_cast<std::size_t>(count));
    ring_for_credit();
  }

  // Drops all that the writer has aborted, and what a command names, held or not.
  void skip_aborted() noexcept;
  // Commands are obeyed by skip_aborted() alone; see LinkReader::set_control_interval().
  void obey_by_hand() noexcept { end_.control().set_interval(kControlByHand); }
  // First value that the writer, or a command, still wants; 0 before the first abort.
  [[nodiscard]] std::uint64_t abort_before() const noexcept {
    return std::max(end_.peer_abort_before(), end_.control().abort_before());
  }

  // As LinkReader.
  void close() noexcept { end_.close(); }
  // A value from `position` on, or news.  Requires: position >= done().
  [[nodiscard]] bool has_value(std::uint64_t position) const noexcept {
    return ring_.position() > position || ring_.has_news() || end_.has_news();
  }
  [[nodiscard]] bool is_peer_closed() const noexcept { return end_.is_peer_closed(); }
  [[nodiscard]] WaitPoint value_point() noexcept { return end_.wait_point(); }
  [[nodiscard]] std::optional<WaitPoint> news_point() noexcept { return end_.news_point(); }
  void look_for_news() noexcept { static_cast<void>(end_.take_news()); }
  void attach_event(int event_fd) noexcept { end_.attach_event(event_fd); }

  [[nodiscard]] std::uint64_t done() const noexcept { return ring_.done(); }
  [[nodiscard]] const LinkShape& shape() const noexcept { return end_.shape(); }

 private:
  ValueBytesReader(LinkEnd end, const SpscConsumer<std::byte>& ring) noexcept
      : end_(std::move(end)), ring_(ring) {}
  [[nodiscard]] bool drop_before(std::uint64_t position) noexcept;
  void ring_for_credit() noexcept {
    if (ring_.credit_given() == rung_credit_) return;
    rung_credit_ = ring_.credit_given();
    end_.ring();
  }

  LinkEnd end_;
  SpscConsumer<std::byte> ring_;  // as the writer's
  std::uint64_t rung_credit_ = 0;
};

}  // namespace slipring

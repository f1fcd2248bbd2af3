// The end of a local link that a wire publishes into: its writer.
//
// A message is received in place: reserve() opens its place in the ring, put() fills it in parts,
// commit() publishes it, abandon() leaves no trace of it.
//
// One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/error/result.h"
#include "core/ring/transfer.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/link/stream_link.h"
#include "pipelines/wire/frame.h"

namespace slipring::wire {

class LinkSink {
 public:
  // Takes the writing role.  Errors: as LinkWriter::attach(); as check_wire_shape().
  static Result<LinkSink> attach(const SegmentDirectory& directory, std::string_view name,
                                 MemoryLock memory_lock = MemoryLock::kTry) noexcept;

  [[nodiscard]] WireKind kind() const noexcept { return kind_; }
  [[nodiscard]] std::uint32_t message_bytes_max() const noexcept { return message_bytes_max_; }
  // Whether messages of a link of that kind and length have their place here.
  [[nodiscard]] bool takes(WireKind kind, std::uint32_t message_bytes_max) const noexcept;

  // Opens the place of a message, or of some bytes of a stream, of exactly `bytes`.
  [[nodiscard]] Transfer reserve(std::uint32_t bytes) noexcept;
  void put(std::uint32_t offset, std::span<const std::byte> part) noexcept;
  void commit() noexcept;
  void abandon() noexcept;
  [[nodiscard]] bool is_open() const noexcept { return is_open_; }
  [[nodiscard]] bool has_space(std::uint32_t bytes) const noexcept;
  // What reserve() may be asked for at most.
  [[nodiscard]] std::uint32_t place_bytes_max() const noexcept;

  // Of the ring; survives every process of this machine.
  [[nodiscard]] std::uint64_t position() const noexcept {
    return stream_ ? stream_->position() : messages_->position();
  }
  // What position() will be when what is open has been published.  Requires: is_open().
  [[nodiscard]] std::uint64_t position_after() const noexcept;

  // All of it, by cost_of().
  [[nodiscard]] std::uint64_t capacity() const noexcept;
  // How much of it is sure to take messages now, each of at most `message_bytes_max`.
  [[nodiscard]] std::uint64_t credit(std::uint32_t message_bytes_max) const noexcept;

  // The reader's event: see LinkWriter::attach_event().
  void attach_event(int event_fd) noexcept;

  // What has been published is no longer wanted.
  void abort_published() noexcept;
  // What the reader has dropped; and how far it is.
  [[nodiscard]] DropReport drops() const noexcept {
    return stream_ ? stream_->drops() : messages_->drops();
  }
  [[nodiscard]] std::uint64_t done() const noexcept {
    return stream_ ? stream_->done() : messages_->done();
  }
  void close() noexcept;
  // The reader has finished for good.
  [[nodiscard]] bool is_reader_closed() const noexcept {
    return stream_ ? stream_->is_peer_closed() : messages_->is_peer_closed();
  }
  [[nodiscard]] WaitPoint wait_point() noexcept {
    return stream_ ? stream_->space_point() : messages_->space_point();
  }
  // And until whoever is at the other end is replaced; nothing on a named link.
  [[nodiscard]] std::optional<WaitPoint> news_point() noexcept {
    return stream_ ? stream_->news_point() : messages_->news_point();
  }
  // To be called before it is slept: else a guarded link shows what a dead process had.
  void look_for_news() noexcept {
    if (stream_) {
      stream_->look_for_news();
    } else {
      messages_->look_for_news();
    }
  }

 private:
  explicit LinkSink(LinkWriter messages) noexcept;
  explicit LinkSink(StreamWriter stream) noexcept;
  [[nodiscard]] const LinkShape& shape() const noexcept {
    return stream_ ? stream_->shape() : messages_->shape();
  }

  std::optional<LinkWriter> messages_;  // exactly one of the two
  std::optional<StreamWriter> stream_;  // holds a value
  WireKind kind_ = WireKind::kStream;
  std::uint32_t message_bytes_max_ = 0;
  bool is_open_ = false;
  std::uint32_t open_bytes_ = 0;
  StreamParts<std::byte> place_;
};

}  // namespace slipring::wire

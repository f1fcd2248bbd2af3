// The end of a local link that a wire publishes into: its writer.
//
// A message is received in place: reserve() opens its place in the ring, put() fills it in parts,
// commit() publishes it, abandon() leaves no trace of it.
//
// One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "core/error/result.h"
#include "core/ring/byte_stream.h"
#include "core/ring/transfer.h"
#include "core/segment/segment_layout.h"
#include "pipelines/link/drop_words.h"
#include "pipelines/wire/frame.h"
#include "platform/memory/mapping.h"
#include "platform/memory/segment_directory.h"
#include "platform/wait/doorbell.h"

namespace slipring::wire {

class LinkSink {
 public:
  // Takes the writing role of a link of that kind.  Errors: as LinkWriter::attach(); as
  // check_wire_shape().
  static Result<std::unique_ptr<LinkSink>> attach(const SegmentDirectory& directory,
                                                  std::string_view name, SegmentKind kind,
                                                  MemoryLock memory_lock) noexcept;
  LinkSink() = default;
  LinkSink(const LinkSink&) = delete;
  LinkSink& operator=(const LinkSink&) = delete;
  virtual ~LinkSink() = default;

  [[nodiscard]] const WireForm& form() const noexcept { return form_; }
  // Why messages of such a link have no place here; nothing: they have.
  [[nodiscard]] virtual std::optional<ErrorReason> refuses(const WireForm& form) const noexcept = 0;

  // Opens the place of a message, or of some bytes of a stream, or of some values, of exactly
  // `bytes`.
  [[nodiscard]] Transfer reserve(std::uint32_t bytes) noexcept;
  void put(std::uint32_t offset, std::span<const std::byte> part) noexcept;
  void commit() noexcept;
  void abandon() noexcept;
  [[nodiscard]] bool is_open() const noexcept { return is_open_; }
  [[nodiscard]] virtual bool has_space(std::uint32_t bytes) const noexcept = 0;
  // What reserve() may be asked for at most.
  [[nodiscard]] virtual std::uint64_t place_bytes_max() const noexcept = 0;

  // Of the ring; survives every process of this machine.
  [[nodiscard]] virtual std::uint64_t position() const noexcept = 0;
  // What position() will be when what is open has been published.  Requires: is_open().
  [[nodiscard]] virtual std::uint64_t position_after() const noexcept = 0;

  // All of it, by cost_of().
  [[nodiscard]] virtual std::uint64_t capacity() const noexcept = 0;
  // How much of it is sure to take messages now, of a link of that form; what is open counts as
  // free.
  [[nodiscard]] virtual std::uint64_t credit(const WireForm& form) const noexcept = 0;

  // Of a topic: whether there are so many positions left to be passed over; passes them over, in
  // one store, as what will never come.
  [[nodiscard]] virtual bool may_pass_over(std::uint64_t) const noexcept { return false; }
  virtual void pass_over(std::uint64_t) noexcept {}
  // Now and then: looks after readers for whose death it would wait for ever.
  virtual void tend() noexcept {}

  // Of a lane of a set: which, and our incarnation there.
  struct Lane {
    std::uint32_t lane = 0;
    std::uint32_t incarnation = 0;
  };
  [[nodiscard]] virtual std::optional<Lane> lane() const noexcept { return std::nullopt; }
  // Whose the messages are that follow: the reader is told, where it asks for that.
  virtual void tell_origin(std::string_view) noexcept {}
  // False, and nothing is told: what another one wrote is not read yet.
  [[nodiscard]] virtual bool tell_writer(const WriterName&) noexcept { return true; }

  // The reader's event: see LinkWriter::attach_event().
  virtual void attach_event(int event_fd) noexcept = 0;

  // What has been published is no longer wanted.
  virtual void abort_published() noexcept = 0;
  // What the reader has dropped; and how far it is.
  [[nodiscard]] virtual DropReport drops() const noexcept = 0;
  [[nodiscard]] virtual std::uint64_t done() const noexcept = 0;
  virtual void close() noexcept = 0;
  // The reader has finished for good.
  [[nodiscard]] virtual bool is_reader_closed() const noexcept = 0;
  [[nodiscard]] virtual WaitPoint wait_point() noexcept = 0;
  // Of a link with many readers: to be slept on as well.
  [[nodiscard]] virtual std::span<const WaitPoint> further_points() noexcept { return {}; }
  // And until whoever is at the other end is replaced; nothing on a named link.
  [[nodiscard]] virtual std::optional<WaitPoint> news_point() noexcept = 0;
  // To be called before it is slept: else a guarded link shows what a dead process had.
  virtual void look_for_news() noexcept = 0;

 protected:
  // The place of `bytes`, into place_.
  [[nodiscard]] virtual Transfer open(std::uint32_t bytes) noexcept = 0;
  // Publishes what is in place_.
  virtual void publish() noexcept = 0;
  // Nothing of what is in place_ will be published.
  virtual void drop() noexcept {}

  WireForm form_;
  std::uint32_t open_bytes_ = 0;
  StreamParts<std::byte> place_;

 private:
  bool is_open_ = false;
};

}  // namespace slipring::wire

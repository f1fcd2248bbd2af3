// The end of a local link that a wire sends from: its reader, whose ring is the retransmit buffer.
//
// Protocol.  What is handed to the wire stays in the ring until the other machine has published it:
// next() looks, release() finishes.  After a reconnect rewind() goes back to where the other side
// stands; the same messages come again from the same place.  A position is the ring's own: of
// records and bytes it counts bytes, of slots and values these; it survives every process of this
// machine.
//
// One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "core/error/result.h"
#include "core/ring/transfer.h"
#include "core/segment/segment_layout.h"
#include "pipelines/wire/frame.h"
#include "platform/memory/mapping.h"
#include "platform/memory/segment_directory.h"
#include "platform/wait/doorbell.h"

namespace slipring::wire {

// Messages under way at once; of a stream any number of bytes may be, and of values any number.
inline constexpr std::size_t kHeldMessagesMax = 4096;

// A message, or some bytes of a stream, or some values, in place: read every byte once.
struct Piece {
  std::span<const std::byte> first;
  std::span<const std::byte> second;  // continues it: over the end of a ring, or in a pool's buffer
  std::uint64_t begin = 0;            // the position behind the piece before
  std::uint64_t end = 0;
  [[nodiscard]] std::size_t size() const noexcept { return first.size() + second.size(); }
};

class LinkSource {
 public:
  // Takes the reading role of a link of that kind.  Errors: as LinkReader::attach(); kUnsupported
  // (more than kLinkBytesMax of ring, or of buffer).
  static Result<std::unique_ptr<LinkSource>> attach(const SegmentDirectory& directory,
                                                    std::string_view name, SegmentKind kind,
                                                    MemoryLock memory_lock) noexcept;
  LinkSource() = default;
  LinkSource(const LinkSource&) = delete;
  LinkSource& operator=(const LinkSource&) = delete;
  virtual ~LinkSource() = default;

  [[nodiscard]] const WireForm& form() const noexcept { return form_; }
  [[nodiscard]] WireKind kind() const noexcept { return form_.kind; }
  // First position that is still in the ring.
  [[nodiscard]] virtual std::uint64_t done() const noexcept = 0;
  // First position not handed out.
  [[nodiscard]] std::uint64_t cursor() const noexcept { return cursor_; }

  // Goes back, or forward, to `position`, and finishes all before it.  False if that is not where a
  // message ends, or lies where nothing has been published.
  [[nodiscard]] virtual bool rewind(std::uint64_t position) noexcept = 0;

  // The next piece; of a stream at most `bytes_max`, of values as many as they hold, or one.
  // kBlocked when there is none, or too many messages are under way.
  [[nodiscard]] virtual Transfer next(Piece& piece, std::size_t bytes_max) noexcept = 0;
  // next() gives `piece` again.  Requires: it was the last one.
  virtual void put_back(const Piece& piece) noexcept { cursor_ = piece.begin; }

  // Finishes all before `position`.  False as rewind(), or beyond cursor().
  [[nodiscard]] virtual bool release(std::uint64_t position) noexcept = 0;

  // The writer, or a command in the link's control lane, has aborted something since take_abort()
  // looked.
  [[nodiscard]] bool has_abort() const noexcept { return abort_word() > abort_seen_; }
  // Finishes all that is aborted, handed out or not; cursor() passes it.  False if there is nothing
  // that the other side is to be told: aborted() is as it was.
  [[nodiscard]] bool take_abort() noexcept;
  // First position that is still wanted; 0 before the first abort.
  [[nodiscard]] std::uint64_t aborted() const noexcept { return aborted_; }

  // How many messages the aborts since the last call found looked at and not acknowledged: they are
  // finished, and the link's own count of drops is without them.
  [[nodiscard]] std::uint64_t take_doomed() noexcept { return std::exchange(doomed_count_, 0); }
  // Of those of the abort at `aborted`, how many end at `arrived` or before.  Once.
  [[nodiscard]] virtual std::uint64_t settle_doomed(std::uint64_t aborted,
                                                    std::uint64_t arrived) noexcept = 0;

  // Of a ring that may begin anew as the same link: which of them it is.
  [[nodiscard]] virtual std::uint32_t stream() const noexcept { return 0; }

  // Who writes the link, of the messages that come next; asks the kernel where that has changed.
  [[nodiscard]] virtual WriterName writer() noexcept { return {}; }

  // Whether next() might not answer kBlocked, or something was aborted.
  [[nodiscard]] virtual bool has_more() const noexcept = 0;
  // The writer has closed, and everything was handed out.
  [[nodiscard]] virtual bool is_at_end() const noexcept = 0;
  [[nodiscard]] virtual WaitPoint wait_point() noexcept = 0;
  // And until whoever is at the other end is replaced; nothing on a named link.
  [[nodiscard]] virtual std::optional<WaitPoint> news_point() noexcept = 0;
  // To be called before it is slept: else a guarded link shows what a dead process had.
  virtual void look_for_news() noexcept = 0;
  // The writer's event: see LinkReader::attach_event().
  virtual void attach_event(int event_fd) noexcept = 0;
  // Nobody will read on: the writer learns of it.
  virtual void close() noexcept = 0;
  // All of the stream has arrived.
  virtual void finish() noexcept { close(); }

  // Of a lane set (lane_link_source.h), whose lanes are sources of their own: how many it has.  0:
  // it is none.
  [[nodiscard]] virtual std::uint32_t lane_count() const noexcept { return 0; }
  [[nodiscard]] virtual bool wants_carrying() const noexcept { return true; }
  [[nodiscard]] virtual bool is_quiet() const noexcept { return false; }
  [[nodiscard]] virtual bool had_writer() const noexcept { return true; }
  // Now and then.
  virtual void look_for_end() noexcept {}

 protected:
  // First position that is still wanted, true or not; 0 before the first abort.
  [[nodiscard]] virtual std::uint64_t abort_word() const noexcept = 0;
  // Finishes all below `before` that is there.
  virtual void drop_before(std::uint64_t before) noexcept = 0;

  WireForm form_;
  std::uint64_t cursor_ = 0;
  std::uint64_t aborted_ = 0;
  std::uint64_t doomed_count_ = 0;

 private:
  std::uint64_t abort_seen_ = 0;  // true or not
};

}  // namespace slipring::wire

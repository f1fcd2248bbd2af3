// The end of a local link that a wire sends from: its reader, whose ring is the retransmit buffer.
//
// Protocol.  What is handed to the wire stays in the ring until the other machine has published it:
// next() looks, release() finishes.  After a reconnect rewind() goes back to where the other side
// stands; the same messages come again from the same place.  A position is the ring's own: of
// records and bytes it counts bytes, of slots slots; it survives every process of this machine.
//
// One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error/result.h"
#include "core/ring/transfer.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/stream_link.h"
#include "pipelines/wire/frame.h"

namespace slipring::wire {

// Messages under way at once; of a stream any number of bytes may be.
inline constexpr std::size_t kHeldMessagesMax = 4096;

// A message, or some bytes of a stream, in place: read every byte once.
struct Piece {
  std::span<const std::byte> first;
  std::span<const std::byte> second;  // continues it; of a stream's run over the end of the ring
  std::uint64_t begin = 0;            // the position behind the piece before
  std::uint64_t end = 0;
  [[nodiscard]] std::size_t size() const noexcept { return first.size() + second.size(); }
};

class LinkSource {
 public:
  // Takes the reading role.  Errors: as LinkReader::attach(); kUnsupported (a link with a pool; a
  // link of typed values; more than kLinkBytesMax of ring).
  static Result<LinkSource> attach(const SegmentDirectory& directory, std::string_view name,
                                   MemoryLock memory_lock = MemoryLock::kTry) noexcept;

  [[nodiscard]] WireKind kind() const noexcept { return kind_; }
  // The longest message; of slots, every one; of a stream, 0.
  [[nodiscard]] std::uint32_t message_bytes_max() const noexcept { return message_bytes_max_; }
  // First position that is still in the ring.
  [[nodiscard]] std::uint64_t done() const noexcept {
    return stream_ ? stream_->done() : messages_->done();
  }
  // First position not handed out.
  [[nodiscard]] std::uint64_t cursor() const noexcept { return cursor_; }

  // Goes back, or forward, to `position`, and finishes all before it.  False if that is not where a
  // message ends, or lies where nothing has been published.
  [[nodiscard]] bool rewind(std::uint64_t position) noexcept;

  // The next piece; of a stream at most `bytes_max`.  kBlocked when there is none, or too many
  // messages are under way.
  [[nodiscard]] Transfer next(Piece& piece, std::size_t bytes_max) noexcept;
  // next() gives `piece` again.  Requires: it was the last one.
  void put_back(const Piece& piece) noexcept;

  // Finishes all before `position`.  False as rewind(), or beyond cursor().
  [[nodiscard]] bool release(std::uint64_t position) noexcept;

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
  [[nodiscard]] std::uint64_t settle_doomed(std::uint64_t aborted, std::uint64_t arrived) noexcept;

  // Whether next() might not answer kBlocked, or something was aborted.
  [[nodiscard]] bool has_more() const noexcept;
  // The writer has closed, and everything was handed out.
  [[nodiscard]] bool is_at_end() const noexcept;
  [[nodiscard]] WaitPoint wait_point() noexcept {
    return stream_ ? stream_->byte_point() : messages_->message_point();
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
  // The writer's event: see LinkReader::attach_event().
  void attach_event(int event_fd) noexcept;
  // Nobody will read on: the writer learns of it.
  void close() noexcept;

 private:
  explicit LinkSource(LinkReader messages) noexcept;
  explicit LinkSource(StreamReader stream) noexcept;
  [[nodiscard]] std::uint64_t abort_word() const noexcept {
    return stream_ ? stream_->abort_before() : messages_->abort_before();
  }
  [[nodiscard]] bool peek_one() noexcept;

  std::optional<LinkReader> messages_;  // exactly one of the two
  std::optional<StreamReader> stream_;  // holds a value
  WireKind kind_ = WireKind::kStream;
  std::uint32_t message_bytes_max_ = 0;
  std::uint64_t cursor_ = 0;
  std::uint64_t aborted_ = 0;
  std::uint64_t abort_seen_ = 0;  // true or not
  bool is_corrupt_ = false;
  std::vector<Message> held_;  // a ring: released at held_first_, peeked behind the last
  std::size_t held_first_ = 0;
  std::size_t held_count_ = 0;
  std::size_t handed_out_ = 0;         // of these
  std::vector<std::uint64_t> doomed_;  // ends of the last abort's, until they are settled
  std::uint64_t doomed_count_ = 0;
};

}  // namespace slipring::wire

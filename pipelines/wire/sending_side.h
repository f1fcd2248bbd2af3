// What a sender does once its session is open: data within the credit, aborts ahead of them.
//
// Protocol.  A message is handed out of the ring, sent in fragments, and stays in the ring until
// the receiver has acknowledged it.  After a message has been looked at, and before any of it is
// sent, the writer's abort is looked at: an abort that does not cover the message is visible by
// then.  So kAbort is on the wire ahead of everything that it lets live, and a message in the
// middle of its fragments can only be covered by one: then the rest is not sent.  Who wrote a
// message is said ahead of its first fragment.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "pipelines/wire/frame_writer.h"
#include "pipelines/wire/link_source.h"

namespace slipring::wire {

class SendingSide {
 public:
  explicit SendingSide(LinkSource& source) noexcept : source_(source) {}

  // How the receiver is told who writes; at first it is not.
  enum class Naming : std::uint8_t { kNot, kShort, kLong };
  void name_writers(Naming naming) noexcept { naming_ = naming; }

  // The receiver stands at `arrived` and takes `limit` of cost.  False if that cannot be.
  [[nodiscard]] bool resume(std::uint64_t arrived, std::uint64_t limit) noexcept;
  // kAck.  False if that cannot be.
  [[nodiscard]] bool acknowledge(std::uint64_t arrived, std::uint64_t limit) noexcept;

  // Puts what may be sent.  False if the link's writer is corrupt.
  [[nodiscard]] bool put_frames(FrameWriter& out, bool checks_data) noexcept;
  // Whether put_frames() would find anything to put.
  [[nodiscard]] bool has_frames() const noexcept;

  // Everything was sent, and the writer has closed.
  [[nodiscard]] bool is_at_end() const noexcept { return !piece_ && source_.is_at_end(); }
  // Of what comes no more nothing is left to be told; answers where it ended.
  // Requires: is_at_end(), is_all_acknowledged().
  std::uint64_t finish() noexcept { return sent_ = source_.cursor(); }
  // First position that was not sent in whole.
  [[nodiscard]] std::uint64_t sent() const noexcept { return sent_; }
  // Nothing in the ring waits to be acknowledged.
  [[nodiscard]] bool is_all_acknowledged() const noexcept { return acknowledged_ == sent_; }

 private:
  [[nodiscard]] Transfer take_piece() noexcept;
  void put_fragment(FrameWriter& out, bool checks_data) noexcept;
  // False if there is no room for it.
  [[nodiscard]] bool put_writer(FrameWriter& out) noexcept;

  LinkSource& source_;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t limit_ = 0;  // of the cost that the receiver takes, since the connection began
  std::uint64_t cost_ = 0;   // of what was handed out since then
  bool is_short_of_credit_ = false;  // the next message costs more than is left
  bool abort_due_ = false;
  std::optional<Piece> piece_;  // being sent
  std::size_t piece_sent_ = 0;  // bytes of it
  Naming naming_ = Naming::kNot;
  WriterName told_writer_;
};

}  // namespace slipring::wire

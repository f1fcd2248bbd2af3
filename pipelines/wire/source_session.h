// The identity under which a link is sent: 128 random bits that stay with the link's ring.
//
// Protocol.  A board beside the link, NAME.wire-out, keeps the identity and the time at which the
// ring was made; a ring made anew under the name is another session.  The time is written last: an
// identity that a death cut short was never used.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/error/result.h"
#include "pipelines/link/board.h"
#include "pipelines/wire/frame.h"
#include "platform/memory/segment_directory.h"

namespace slipring::wire {

// One thread at a time.
class SourceSession {
 public:
  // Requires: the caller holds the link's reading role, and the link was made at `ring_created_ns`.
  // Errors: as create_board(), Board::attach(); kSystem (no random bits).
  static Result<SourceSession> open(const SegmentDirectory& directory, std::string_view link,
                                    std::uint64_t ring_created_ns) noexcept;

  [[nodiscard]] SessionId id() const noexcept { return {a_.get(), b_.get()}; }
  // A receiver has taken it up before: it may have published some of it.
  [[nodiscard]] bool is_welcomed() const noexcept { return welcomed_.get() != 0; }
  void welcomed() noexcept { welcomed_.set(1); }

 private:
  explicit SourceSession(Board board) noexcept;

  Board board_;
  Board::Number ring_created_;
  Board::Number a_;
  Board::Number b_;
  Board::Number welcomed_;
};

}  // namespace slipring::wire

// The identity under which a link is sent: 128 random bits that stay with the link's ring.
//
// Protocol.  A board beside the link, NAME.wire-out, keeps the identity and the time at which the
// ring was made; a ring made anew under the name is another session.  The time is written last: an
// identity that a death cut short was never used.
//
// Of a lane set each lane has a board, NAME.LANE.wire-out, and each of its writers is a session:
// the turn is that writer's number, noted before anything of it is sent.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
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
                                    std::uint64_t ring_created_ns,
                                    std::optional<std::uint32_t> lane = std::nullopt) noexcept;

  // Of a topic, which needs nothing kept: the ring tells who it is, and no subscriber is waited
  // for.
  [[nodiscard]] static SourceSession of_topic(const SessionId& id) noexcept {
    return SourceSession(id);
  }

  [[nodiscard]] SessionId id() const noexcept {
    return board_ ? SessionId{a_.get(), b_.get()} : topic_;
  }
  // A receiver has taken it up before: it may have published some of it.
  [[nodiscard]] bool is_welcomed() const noexcept { return welcomed_.get() != 0; }
  void welcomed() noexcept { welcomed_.set(1); }

  // Of a lane: whose messages the session carries; 0: nobody's yet.
  [[nodiscard]] std::uint32_t turn() const noexcept {
    return static_cast<std::uint32_t>(turn_.get());
  }
  void begin_turn(std::uint32_t writer) noexcept { turn_.set(writer); }
  // All of it has arrived: another session begins, with nobody's turn.
  void renew() noexcept;

  // What the other machine's reader has dropped unread, as its side says: in all, and the last
  // abort, by our ring's position, of which it reads nothing any more.  In numbers of the board
  // that everybody may read.
  void dropped_there(const Dropped& dropped) noexcept {
    there_messages_.set(dropped.messages);
    there_bytes_.set(dropped.bytes);
    if (dropped.obeyed > there_obeyed_.get()) there_obeyed_.set(dropped.obeyed);
  }
  [[nodiscard]] Dropped dropped_there() const noexcept {
    return {there_messages_.get(), there_bytes_.get(), 0, there_obeyed_.get()};
  }
  // Messages that were on their way when they were aborted; and those of them that had arrived, and
  // were read or dropped over there.  Killed in between, we count those here as well.
  void doomed(std::uint64_t messages) noexcept {
    if (messages != 0) on_way_.add(messages);
  }
  void arrived_of_doomed(std::uint64_t messages) noexcept {
    on_way_.set(on_way_.get() - std::min(messages, on_way_.get()));
  }
  [[nodiscard]] std::uint64_t dropped_on_way() const noexcept { return on_way_.get(); }

 private:
  explicit SourceSession(Board board) noexcept;
  explicit SourceSession(const SessionId& topic) noexcept : topic_(topic) {}
  Status begin_anew(std::uint64_t ring_created_ns) noexcept;

  SessionId topic_;
  std::optional<Board> board_;  // without one its numbers are of nothing
  Board::Number ring_created_;
  Board::Number a_;
  Board::Number b_;
  Board::Number welcomed_;
  Board::Number there_messages_;
  Board::Number there_bytes_;
  Board::Number there_obeyed_;
  Board::Number on_way_;
  Board::Number turn_;
};

}  // namespace slipring::wire

#include "pipelines/wire/source_session.h"

#include <errno.h>
#include <sys/random.h>

#include <array>
#include <string>
#include <utility>

namespace slipring::wire {

Result<SourceSession> SourceSession::open(const SegmentDirectory& directory, std::string_view link,
                                          std::uint64_t ring_created_ns,
                                          std::optional<std::uint32_t> lane) noexcept {
  const std::string name =
      std::string(link) + (lane ? "." + std::to_string(*lane) : std::string()) + ".wire-out";
  const Status made = create_board(directory, name);
  if (!made && made.error().code != ErrorCode::kExists) return made.error();
  Result<Board> board = Board::attach(directory, name);
  if (!board) return board.error();
  SourceSession session(std::move(board).value());
  if (session.ring_created_.get() == ring_created_ns && !session.id().is_none()) return session;
  session.there_messages_.set(0);
  session.there_bytes_.set(0);
  session.there_obeyed_.set(0);
  session.on_way_.set(0);
  if (Status begun = session.begin_anew(ring_created_ns); !begun) return begun.error();
  return session;
}

void SourceSession::renew() noexcept {
  // Without random bits it is the same once more: known over there, and as good.
  if (!begin_anew(ring_created_.get())) turn_.set(0);
}

Status SourceSession::begin_anew(std::uint64_t ring_created_ns) noexcept {
  std::array<std::uint64_t, 2> bits{};
  ssize_t got = 0;
  do {
    got = getrandom(bits.data(), sizeof bits, 0);
  } while (got < 0 && errno == EINTR);
  if (got != sizeof bits) return Error{ErrorCode::kSystem, errno, "get random bits"};
  ring_created_.set(0);
  welcomed_.set(0);
  turn_.set(0);
  a_.set(bits[0]);
  b_.set(bits[1]);
  ring_created_.set(ring_created_ns);
  return {};
}

SourceSession::SourceSession(Board board) noexcept
    : board_(std::move(board)),
      ring_created_(board_->number(".ring_created_ns", BoardKind::kGauge)),
      a_(board_->number(".session_a", BoardKind::kGauge)),
      b_(board_->number(".session_b", BoardKind::kGauge)),
      welcomed_(board_->number(".welcomed", BoardKind::kGauge)),
      there_messages_(board_->number("dropped_there_messages", BoardKind::kCounter)),
      there_bytes_(board_->number("dropped_there_bytes", BoardKind::kCounter)),
      there_obeyed_(board_->number("obeyed_there_position", BoardKind::kGauge)),
      on_way_(board_->number("dropped_on_way_messages", BoardKind::kGauge)),
      turn_(board_->number(".turn", BoardKind::kGauge)) {}

}  // namespace slipring::wire

// The end of a connection, and how one goes on after the death of its process.

#include "pipelines/array/nbd/connection.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/error/check.h"
#include "pipelines/array/nbd/socket_transfer.h"
#include "pipelines/array/nbd/surviving_word.h"

namespace slipring::array {

void Connection::shut() {
  ConnectionState next = state();
  next.phase = Phase::kClosed;
  commit(next);
  filling_ = kNoIndex;
  unissued_.clear();
  for (std::uint32_t i = 0; i < kPieceCountMax; ++i) {
    const PieceMemory& piece = context_->pieces.at(i);
    const PieceState piece_state = settled(piece.state);
    if (piece.connection != index_ || piece_state == PieceState::kFree ||
        piece_state == PieceState::kSubmitted) {
      continue;
    }
    drop_piece(i);
  }
}

void Connection::release() {
  check(phase() == Phase::kClosed && piece_count_ == 0, "releasing a connection that is closed");
  ConnectionState next = state();
  next.phase = Phase::kFree;
  commit(next);
}

bool Connection::is_live(const RequestMemory& request) const noexcept {
  const std::uint64_t done = settled(request.done_item);
  return settled(request.accept_number) < state().accepted_count &&
         (done == kNoPosition || done >= state().item_tail);
}

// Whether it is a part of a request that is not concluded.
bool Connection::belongs(const PieceMemory& piece) const noexcept {
  if (phase() == Phase::kFree || phase() == Phase::kClosed) return false;
  if (piece.request >= kRequestCountMax) return false;
  const RequestMemory& request = memory_->requests[piece.request];
  if (settled(request.accept_number) != piece.accept_number || !is_live(request)) return false;
  const std::uint32_t issued = settled(request.issued_bytes);
  return has_data(request.command) ? piece.request_offset < issued : issued != 0;
}

void Connection::resume() {
  if (phase() == Phase::kFree || phase() == Phase::kClosed) return;
  if (state().is_encrypted != 0 || phase() == Phase::kStartTls) {
    // The keys went with the process that had them.
    ConnectionState next = state();
    next.phase = Phase::kClosed;
    commit(next);
    return;
  }
  if (is_uncounted(memory_->receive, state().receive_number)) count_received();
  // Pieces that are sent now are met by adopt_piece().
  if (is_uncounted(memory_->send, state().send_number)) static_cast<void>(count_sent());
  for (RequestMemory& request : memory_->requests) {
    if (settled(request.done_item) >= state().item_tail) settle(request.done_item, kNoPosition);
  }
}

void Connection::adopt_piece(std::uint32_t index) {
  PieceMemory& piece = context_->pieces.at(index);
  const PieceState piece_state = settled(piece.state);
  const std::uint64_t out_item = settled(piece.out_item);
  const bool is_open = phase() != Phase::kFree && phase() != Phase::kClosed;
  const bool is_answered =
      piece_state == PieceState::kAnswered || piece_state == PieceState::kSpilled;
  const bool was_in_line = is_answered && out_item < state().item_tail;
  if (is_open && was_in_line && out_item >= state().item_head) {
    ++piece_count_;  // its data are still to be sent
  } else if (piece_state == PieceState::kSubmitted) {
    ++piece_count_;
    if (belongs(piece)) ++pending_[piece.request];
  } else if (was_in_line || !belongs(piece) || is_given_up(piece)) {
    context_->pieces.forget(index);
  } else {
    revive_piece(index);
  }
}

bool Connection::is_given_up(const PieceMemory& piece) const noexcept {
  const PieceState piece_state = settled(piece.state);
  const bool is_here = piece_state == PieceState::kReady || piece_state == PieceState::kFilling;
  return is_here && settled(memory_->requests[piece.request].error) != 0;
}

void Connection::revive_piece(std::uint32_t index) {
  if (!context_->pieces.revive(index)) {
    // Without its buffer the data of a write are lost, and the client must hear of it.
    context_->pieces.forget(index);
    return hang_up();
  }
  PieceMemory& piece = context_->pieces.at(index);
  ++piece_count_;
  ++pending_[piece.request];
  switch (settled(piece.state)) {
    case PieceState::kFilling:
      if (state().payload_request == piece.request) {
        filling_ = index;
      } else {
        context_->pieces.make_ready(index);
      }
      break;
    case PieceState::kAnswered:
    case PieceState::kSpilled:
      settle(piece.out_item, kNoPosition);
      answered_.push_back(index);
      break;
    default:
      break;
  }
}

void Connection::finish_resume() {
  if (phase() == Phase::kFree || phase() == Phase::kClosed) return;
  std::vector<std::uint32_t> live;
  free_requests_.clear();
  for (std::uint32_t i = 0; i < kRequestCountMax; ++i) {
    (is_live(memory_->requests[i]) ? live : free_requests_).push_back(i);
  }
  live_request_count_ = static_cast<std::uint32_t>(live.size());
  std::sort(live.begin(), live.end(), [this](std::uint32_t a, std::uint32_t b) {
    return settled(memory_->requests[a].accept_number) <
           settled(memory_->requests[b].accept_number);
  });
  after_payload();
  ConnectionState next = state();
  if (filling_ == kNoIndex && next.payload_request < kRequestCountMax &&
      next.payload_bytes >= memory_->requests[next.payload_request].length) {
    next.payload_request = kNoIndex;
    next.payload_bytes = 0;
    commit(next);
  }
  for (const std::uint32_t i : live) {
    const RequestMemory& request = memory_->requests[i];
    const bool is_write = request.command == static_cast<std::uint16_t>(NbdCommand::kWrite);
    if (!is_write && !is_whole_issued(request)) unissued_.push_back(i);
  }
  for (const std::uint32_t piece : std::exchange(answered_, {})) take_answer(piece);
  for (const std::uint32_t i : live) {
    const RequestMemory& request = memory_->requests[i];
    const bool has_nothing_under_way = is_live(request) && pending_[i] == 0;
    const bool has_begun = settled(request.issued_bytes) != 0 || settled(request.error) != 0;
    if (has_nothing_under_way && has_begun) settle_request(i);
  }
}

}  // namespace slipring::array

// Requests cut into pieces, and pieces put together to replies.

#include "pipelines/array/nbd/connection.h"

#include <errno.h>

#include <algorithm>

#include "pipelines/array/nbd/reply_text.h"
#include "pipelines/array/nbd/surviving_word.h"

namespace slipring::array {

bool Connection::cut(std::uint32_t request, std::uint32_t request_offset, std::uint32_t length,
                     PieceState state_wanted, std::uint32_t& piece) {
  RequestMemory& from = memory_->requests[request];
  const BlockOperation operation = block_operation(from.command);
  if (piece_count_ >= context_->piece_limit) return false;
  const std::uint32_t place = context_->pieces.take_place(operation);
  if (place == kNoIndex) return false;
  PieceMemory& made = context_->pieces.at(place);
  if (operation == BlockOperation::kWrite &&
      context_->port.acquire(made.buffer) != Transfer::kDone) {
    context_->pieces.put_back(place);
    return false;
  }
  made.connection = index_;
  settle(made.id, std::uint64_t{0});
  made.accept_number = settled(from.accept_number);
  made.request = request;
  made.request_offset = request_offset;
  made.offset = from.offset + request_offset;
  made.length = length;
  made.export_number = static_cast<std::uint16_t>(state().export_number);
  made.flags = block_flags(from.flags);
  settle(made.out_item, kNoPosition);
  if (state_wanted == PieceState::kReady) {
    context_->pieces.make_ready(place);
  } else {
    settle(made.state, state_wanted);
  }
  // Only now does the piece exist for a successor.
  settle(from.issued_bytes, has_data(from.command) ? request_offset + length : 1U);
  ++pending_[request];
  ++piece_count_;
  piece = place;
  return true;
}

bool Connection::is_whole_issued(const RequestMemory& request) const noexcept {
  const std::uint32_t issued = settled(request.issued_bytes);
  return has_data(request.command) ? issued == request.length : issued != 0;
}

// The next piece of a request other than a write.
bool Connection::issue_next(std::uint32_t request) {
  const RequestMemory& from = memory_->requests[request];
  std::uint32_t piece = kNoIndex;
  if (!has_data(from.command)) return cut(request, 0, from.length, PieceState::kReady, piece);
  const std::uint32_t issued = settled(from.issued_bytes);
  // A simple reply has its bytes in order: held back pieces could hold all buffers there are.
  if (issued != 0 && pending_[request] != 0 && !has_chunks(from.command, state())) return false;
  const std::uint32_t length = std::min(kBlockBufferBytes, from.length - issued);
  return cut(request, issued, length, PieceState::kReady, piece);
}

Progress Connection::issue() {
  Progress all = Progress::kNone;
  for (std::size_t i = 0; i < unissued_.size();) {
    const std::uint32_t request = unissued_[i];
    if (!issue_next(request)) {
      ++i;
      // Those behind it have no better chance, unless it waits for its own pieces.
      if (pending_[request] == 0) break;
      continue;
    }
    all = Progress::kSome;
    if (is_whole_issued(memory_->requests[request])) {
      unissued_.erase(unissued_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  return all;
}

void Connection::drop_piece(std::uint32_t piece) {
  context_->pieces.free(piece);
  --piece_count_;
}

// 0, or the errno that the piece's answer comes to.
std::uint32_t Connection::judge_answer(std::uint32_t index) const {
  const PieceMemory& piece = context_->pieces.at(index);
  if (piece.error != 0) return piece.error;
  if (piece.operation == BlockOperation::kRead) {
    const bool is_whole =
        piece.data_bytes == piece.length && context_->pieces.data_of(index).size() >= piece.length;
    return is_whole ? 0 : EIO;
  }
  if (piece.operation == BlockOperation::kBlockStatus) {
    const bool has_extents = piece.data_bytes >= sizeof(BlockExtent) &&
                             piece.data_bytes % sizeof(BlockExtent) == 0 &&
                             context_->pieces.data_of(index).size() >= piece.data_bytes;
    return has_extents ? 0 : EIO;
  }
  return 0;
}

void Connection::take_answer(std::uint32_t piece) {
  const PieceMemory& answered = context_->pieces.at(piece);
  const std::uint32_t index = answered.request;
  if (!belongs(answered)) return drop_piece(piece);
  RequestMemory& request = memory_->requests[index];
  const std::uint32_t error = judge_answer(piece);
  if (error != 0 && settled(request.error) == 0) {
    settle(request.error, static_cast<std::uint32_t>(nbd_error_of(error)));
  }
  const bool brings_data = answered.operation == BlockOperation::kRead ||
                           answered.operation == BlockOperation::kBlockStatus;
  if (brings_data && settled(request.error) == 0) return put_data(piece);
  drop_piece(piece);
  --pending_[index];
  settle_request(index);
}

std::uint32_t Connection::abort_queued() {
  const std::uint32_t before = live_request_count_;
  const std::uint32_t cut_short = state().payload_request;
  if (cut_short != kNoIndex && settled(memory_->requests[cut_short].error) == 0) {
    // From now on its data are discarded.
    settle(memory_->requests[cut_short].error, static_cast<std::uint32_t>(NbdError::kShutdown));
  }
  filling_ = kNoIndex;
  for (std::uint32_t i = 0; i < kPieceCountMax; ++i) {
    PieceMemory& piece = context_->pieces.at(i);
    const PieceState piece_state = settled(piece.state);
    const bool is_here = piece_state == PieceState::kReady || piece_state == PieceState::kFilling;
    if (piece.connection != index_ || !is_here || !belongs(piece)) continue;
    const RequestMemory& request = memory_->requests[piece.request];
    const bool is_simple_read =
        piece.operation == BlockOperation::kRead && !has_chunks(request.command, state());
    if (piece.request_offset != 0 && is_simple_read) continue;
    piece.error = ESHUTDOWN;
    take_answer(i);
  }
  const std::deque<std::uint32_t> unissued = unissued_;
  for (const std::uint32_t index : unissued) {
    RequestMemory& request = memory_->requests[index];
    const bool has_begun = settled(request.issued_bytes) != 0;
    if (has_begun && !has_chunks(request.command, state())) continue;
    if (settled(request.error) == 0) {
      settle(request.error, static_cast<std::uint32_t>(NbdError::kShutdown));
    }
    unissued_.erase(std::remove(unissued_.begin(), unissued_.end(), index), unissued_.end());
    // What is under way of it concludes it.
    if (pending_[index] == 0 && is_live(request)) conclude(index);
  }
  return before - live_request_count_ + (cut_short != kNoIndex ? 1U : 0U);
}

// Puts a piece's data in line to be sent.
void Connection::put_data(std::uint32_t piece) {
  PieceMemory& answered = context_->pieces.at(piece);
  RequestMemory& request = memory_->requests[answered.request];
  ConnectionState next = state();
  const bool is_last = is_whole_issued(request) && pending_[answered.request] == 1;
  ReplyText text;
  if (answered.operation == BlockOperation::kBlockStatus) {
    put_chunk_header(text, kChunkDone, ChunkType::kBlockStatus, request.cookie,
                     4 + answered.data_bytes);
    text.put(kAllocationContextId);
  } else if (has_chunks(request.command, next)) {
    put_chunk_header(text, is_last ? kChunkDone : 0, ChunkType::kOffsetData, request.cookie,
                     8 + answered.length);
    text.put(answered.offset);
  } else if (answered.request_offset == 0) {
    text = error_reply(request.command, request.cookie, NbdError::kNone, next);
  }
  // Both say where, and count once the item does.
  settle(answered.out_item, next.item_tail);
  if (is_last) settle(request.done_item, next.item_tail);
  put(next, text.bytes(), piece, answered.data_bytes);
  commit(next);
  --pending_[answered.request];
  if (is_last) free_request(answered.request);
}

// After a piece without data to send: the request may be complete.
void Connection::settle_request(std::uint32_t index) {
  // However it fails, its data come first.
  if (state().payload_request == index) return;
  const RequestMemory& request = memory_->requests[index];
  const bool has_failed = settled(request.error) != 0;
  const bool is_read = request.command == static_cast<std::uint16_t>(NbdCommand::kRead);
  if (has_failed && is_read && !has_chunks(request.command, state())) {
    // A simple reply that has begun cannot be taken back.
    if (settled(request.issued_bytes) > kBlockBufferBytes) return hang_up();
  } else if (!is_whole_issued(request) && !has_failed) {
    return;
  }
  if (pending_[index] != 0) return;
  // What was not asked for yet of a request that has failed is not asked for any more.
  unissued_.erase(std::remove(unissued_.begin(), unissued_.end(), index), unissued_.end());
  conclude(index);
}

void Connection::conclude(std::uint32_t index) {
  RequestMemory& request = memory_->requests[index];
  ConnectionState next = state();
  settle(request.done_item, next.item_tail);
  put(next, error_reply(request.command, request.cookie,
                        static_cast<NbdError>(settled(request.error)), next)
                .bytes());
  commit(next);
  free_request(index);
}

void Connection::free_request(std::uint32_t request) {
  free_requests_.push_back(request);
  --live_request_count_;
}

}  // namespace slipring::array

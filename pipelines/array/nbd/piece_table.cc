#include "pipelines/array/nbd/piece_table.h"

#include <sys/mman.h>

#include <algorithm>

#include "core/error/check.h"
#include "pipelines/array/nbd/surviving_word.h"
#include "pipelines/link/link_layout.h"

namespace slipring::array {
namespace {

void give_memory_back(std::span<std::byte> place) {
  static_cast<void>(::madvise(place.data(), place.size(), MADV_REMOVE));
}

constexpr std::uint64_t kIndexMask = (std::uint64_t{1} << kPieceIndexBits) - 1;

// Its reply takes a buffer of the replies' pool.
bool brings_data(BlockOperation operation) {
  return operation == BlockOperation::kRead || operation == BlockOperation::kBlockStatus ||
         operation == BlockOperation::kDescribe;
}

bool has_request_buffer(PieceState state, BlockOperation operation) {
  return operation == BlockOperation::kWrite &&
         (state == PieceState::kFilling || state == PieceState::kReady);
}

}  // namespace

PieceTable::PieceTable(FrontMemory& memory, BlockPort& port, std::span<std::byte> spill)
    : memory_(&memory), port_(&port), spill_(spill) {
  free_.reserve(kPieceCountMax);
  for (std::uint32_t i = kPieceCountMax; i-- > 0;) {
    if (settled(memory.pieces[i].state) == PieceState::kFree) {
      free_.push_back(i);
    } else if (brings_data(memory.pieces[i].operation)) {
      ++data_count_;
    }
  }
}

void PieceTable::resume() {
  const std::uint32_t index = settled(memory_->submission.piece);
  if (index < kPieceCountMax) {
    PieceMemory& piece = memory_->pieces[index];
    const bool is_published = port_->position() > memory_->submission.position;
    if (is_published && settled(piece.state) == PieceState::kReady) {
      settle(piece.state, PieceState::kSubmitted);
    }
  }
  settle(memory_->submission.piece, kNoIndex);
}

bool PieceTable::revive(std::uint32_t index) {
  PieceMemory& piece = at(index);
  const PieceState state = settled(piece.state);
  if (has_request_buffer(state, piece.operation) && !port_->acquire_again(piece.buffer)) {
    return false;
  }
  if (state == PieceState::kReady) ready_.push_back(index);
  return true;
}

std::uint32_t PieceTable::take_place(BlockOperation operation) {
  if (!has_room_for(operation)) return kNoIndex;
  const std::uint32_t index = free_.back();
  free_.pop_back();
  PieceMemory& piece = at(index);
  piece.operation = operation;
  piece.buffer = kNullHandle;
  if (brings_data(operation)) ++data_count_;
  return index;
}

void PieceTable::put_back(std::uint32_t index) {
  if (brings_data(at(index).operation)) --data_count_;
  free_.push_back(index);
}

void PieceTable::make_ready(std::uint32_t index) {
  settle(at(index).state, PieceState::kReady);
  ready_.push_back(index);
}

void PieceTable::publish(std::uint32_t index) {
  PieceMemory& piece = at(index);
  // Ours alone: counted up before it is used.
  const std::uint64_t sequence = settled(memory_->sequence) + 1;
  settle(memory_->sequence, sequence);
  piece.sequence = sequence;
  settle(piece.id, sequence << kPieceIndexBits | index);
  memory_->submission.position = port_->position();
  settle(memory_->submission.piece, index);
}

Transfer PieceTable::submit_ready(std::uint64_t unread_count) {
  while (!ready_.empty()) {
    if (!port_->has_space()) return Transfer::kBlocked;
    const std::uint32_t index = ready_.front();
    PieceMemory& piece = at(index);
    publish(index);
    const bool has_buffer = piece.operation == BlockOperation::kWrite;
    const BufferHandle buffer = has_buffer ? piece.buffer : kNullHandle;
    const BlockRequest request{
        buffer.slot,
        buffer.generation,
        piece.id.load(std::memory_order_relaxed),  // relaxed: our own word
        piece.sequence,
        piece.offset,
        piece.length,
        piece.connection == kNoIndex ? 0 : piece.connection + 1,
        piece.operation,
        piece.flags,
        piece.export_number,
        static_cast<std::uint16_t>(std::min<std::uint64_t>(living_count() + unread_count, 65535)),
        0};
    const Transfer sent = port_->send(request);
    if (sent != Transfer::kDone) return sent;
    settle(piece.state, PieceState::kSubmitted);
    settle(memory_->submission.piece, kNoIndex);
    ready_.pop_front();
  }
  return Transfer::kDone;
}

std::optional<std::uint32_t> PieceTable::take_reply(const BlockReply& reply,
                                                    const ReplyTicket& ticket) {
  const auto index = static_cast<std::uint32_t>(reply.id & kIndexMask);
  const bool is_ours = index < kPieceCountMax && settled(at(index).id) == reply.id;
  if (is_ours) {
    PieceMemory& piece = at(index);
    const PieceState state = settled(piece.state);
    if (state == PieceState::kSubmitted) {
      piece.buffer = {reply.buffer_slot, reply.buffer_generation};
      piece.data_bytes = reply.length;
      piece.error = reply.error;
      settle(piece.out_item, kNoPosition);
      settle(piece.state, PieceState::kAnswered);
      tickets_[index] = ticket;
      return index;
    }
    // What our predecessor had taken comes again: the very same reply, whose data are still to be
    // sent, or are being sent.
    const bool is_same = state == PieceState::kAnswered && !tickets_[index] &&
                         piece.buffer.slot == reply.buffer_slot &&
                         piece.buffer.generation == reply.buffer_generation;
    if (is_same) {
      tickets_[index] = ticket;
      return std::nullopt;
    }
  }
  ++dropped_count_;
  port_->give_back(ticket.buffer);
  port_->finish(ticket);
  return std::nullopt;
}

std::span<const std::byte> PieceTable::data_of(std::uint32_t index) const noexcept {
  const PieceMemory& piece = memory_->pieces[index];
  if (settled(piece.state) != PieceState::kSpilled) return port_->data_of(piece.buffer);
  return spill_.empty() ? std::span<const std::byte>() : spill_place(index);
}

void PieceTable::relieve_ring() {
  while (!spill_.empty()) {
    const std::optional<std::uint64_t> position = port_->crowding_position();
    if (!position) return;
    std::uint32_t index = 0;
    while (index < kPieceCountMax && !(tickets_[index] && tickets_[index]->position == *position)) {
      ++index;
    }
    if (index == kPieceCountMax) return;  // its piece is taken care of at this very moment
    spill(index);
  }
}

void PieceTable::spill(std::uint32_t index) {
  PieceMemory& piece = at(index);
  const auto data = port_->data_of(piece.buffer);
  const std::size_t count = std::min<std::size_t>(piece.data_bytes, data.size());
  // Should the back end have taken its buffer back, zeroes are what is sent: it lied either way.
  std::copy_n(data.begin(), count, spill_place(index).begin());
  settle(piece.state, PieceState::kSpilled);
  port_->give_back(piece.buffer);
  port_->finish(*tickets_[index]);
  tickets_[index].reset();
  ++spilled_count_;
}

void PieceTable::free(std::uint32_t index) {
  PieceMemory& piece = at(index);
  const PieceState state = settled(piece.state);
  check(state != PieceState::kFree && state != PieceState::kSubmitted, "freeing a piece under way");
  if (has_request_buffer(state, piece.operation)) port_->withdraw(piece.buffer);
  if (state == PieceState::kReady) {
    ready_.erase(std::remove(ready_.begin(), ready_.end(), index), ready_.end());
  }
  if (state == PieceState::kAnswered) port_->give_back(piece.buffer);
  // The memory goes back at once; a failure only keeps it.
  if (state == PieceState::kSpilled) give_memory_back(spill_place(index));
  settle(piece.state, PieceState::kFree);
  if (tickets_[index]) port_->finish(*tickets_[index]);
  tickets_[index].reset();
  if (brings_data(piece.operation)) --data_count_;
  free_.push_back(index);
}

void PieceTable::forget(std::uint32_t index) {
  PieceMemory& piece = at(index);
  // A buffer for a write's data came back when our end of the link attached.
  if (settled(piece.state) == PieceState::kAnswered) port_->give_back(piece.buffer);
  settle(piece.state, PieceState::kFree);
  if (brings_data(piece.operation)) --data_count_;
  free_.push_back(index);
}

bool PieceTable::has_room_for(BlockOperation operation) const noexcept {
  return !free_.empty() && (!brings_data(operation) || data_count_ < port_->reply_buffer_count());
}

}  // namespace slipring::array

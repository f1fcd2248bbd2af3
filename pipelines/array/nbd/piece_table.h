// The pieces that requests are cut into, on their way to the back end and back.
//
// The pieces themselves lie in memory that outlives the process (connection_memory.h); what is here
// besides, free places, those that wait for the ring, and tickets of replies, is made again from
// them by a successor.
//
// Spilling.  Replies leave the ring in its order: a client who does not read would hold up
// everybody else's.  When the ring is half full behind such a reply, its data are copied to memory
// of our own and the reply is finished.  Each piece has its place there, and no more is ever there
// than the replies' pool has buffers.
//
// Ids.  id = sequence << kPieceIndexBits | index.  The sequence is counted up before it is used, in
// memory that outlives the process, so that no id is ever used twice; the index finds the piece
// without a search.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/ring/transfer.h"
#include "pipelines/array/nbd/block_port.h"
#include "pipelines/array/nbd/connection_memory.h"

namespace slipring::array {

class PieceTable {
 public:
  // All outlive the table.  `spill` has room for every piece, or none.
  PieceTable(FrontMemory& memory, BlockPort& port, std::span<std::byte> spill = {});

  // After a predecessor's death, once: decides whether the piece that it was putting onto the ring
  // is there.  Every piece is taken for living until free() says otherwise.
  void resume();
  // Of a living piece after resume(): a filling one gets its buffer again, a ready one is put in
  // line.  False when it cannot be had; the piece is as it was.
  [[nodiscard]] bool revive(std::uint32_t index);

  [[nodiscard]] PieceMemory& at(std::uint32_t index) noexcept { return memory_->pieces[index]; }
  // The data of an answered piece; empty when they are not to be had.
  [[nodiscard]] std::span<const std::byte> data_of(std::uint32_t index) const noexcept;

  // Whether a piece more may be under way: a place is free, and a buffer for its reply's data.
  [[nodiscard]] bool has_room_for(BlockOperation operation) const noexcept;
  // A free place, for a piece without a buffer so far, which stays free until its state says
  // otherwise; kNoIndex: there is no room.
  [[nodiscard]] std::uint32_t take_place(BlockOperation operation);
  // Gives back a place that was taken and not used.
  void put_back(std::uint32_t index);

  // Waits for the ring from now on.  Requires: kFilling or new, all else filled in.
  void make_ready(std::uint32_t index);
  // Puts what is ready onto the ring, as long as there is space.  kCorruptPeer: the back end's page
  // is impossible.  `unread_count`: replies that clients have not read, which count as under way.
  Transfer submit_ready(std::uint64_t unread_count);
  [[nodiscard]] bool has_ready() const noexcept { return !ready_.empty(); }

  // The piece that this reply is for, now kAnswered; nothing when none waits for it, and the reply
  // is finished already.
  [[nodiscard]] std::optional<std::uint32_t> take_reply(const BlockReply& reply,
                                                        const ReplyTicket& ticket);

  // Copies what crowds the ring out of its way.
  void relieve_ring();

  // The piece is over: its buffer goes back, whosever it is, and its reply is finished.
  // Requires: not kSubmitted.
  void free(std::uint32_t index);
  // The same of a predecessor's piece that was not revived.
  void forget(std::uint32_t index);

  [[nodiscard]] std::uint32_t living_count() const noexcept {
    return kPieceCountMax - static_cast<std::uint32_t>(free_.size());
  }
  // Replies since the last call whose data were copied out of the ring's way.
  [[nodiscard]] std::uint64_t take_spilled_count() noexcept {
    return std::exchange(spilled_count_, 0);
  }
  // Replies since the last call that nobody waited for: repeated after a death.
  [[nodiscard]] std::uint64_t take_dropped_count() noexcept {
    return std::exchange(dropped_count_, 0);
  }

 private:
  void publish(std::uint32_t index);
  void spill(std::uint32_t index);
  [[nodiscard]] std::span<std::byte> spill_place(std::uint32_t index) const noexcept {
    return spill_.subspan(std::size_t{index} * kBlockBufferBytes, kBlockBufferBytes);
  }

  FrontMemory* memory_;
  BlockPort* port_;
  std::span<std::byte> spill_;
  std::vector<std::uint32_t> free_;
  std::deque<std::uint32_t> ready_;
  std::array<std::optional<ReplyTicket>, kPieceCountMax> tickets_;
  std::uint32_t data_count_ = 0;  // living pieces whose replies bring data
  std::uint64_t dropped_count_ = 0;
  std::uint64_t spilled_count_ = 0;
};

}  // namespace slipring::array

// The pieces that requests are cut into, on their way to the back end and back.
//
// The pieces themselves lie in memory that outlives the process (connection_memory.h); what is here
// besides, free places, those that wait for the ring, and tickets of replies, is made again from
// them by a successor.
//
// Ids.  id = sequence << kPieceIndexBits | index.  The sequence is counted up before it is used, in
// memory that outlives the process, so that no id is ever used twice; the index finds the piece
// without a search.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "core/ring/transfer.h"
#include "pipelines/array/nbd/block_port.h"
#include "pipelines/array/nbd/connection_memory.h"

namespace slipring::array {

class PieceTable {
 public:
  // Both outlive the table.
  PieceTable(FrontMemory& memory, BlockPort& port);

  // After a predecessor's death, once: decides whether the piece that it was putting onto the ring
  // is there.  Every piece is taken for living until free() says otherwise.
  void resume();
  // Of a living piece after resume(): a filling one gets its buffer again, a ready one is put in
  // line.  False when it cannot be had; the piece is as it was.
  [[nodiscard]] bool revive(std::uint32_t index);

  [[nodiscard]] PieceMemory& at(std::uint32_t index) noexcept { return memory_->pieces[index]; }

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
  // is impossible.
  Transfer submit_ready();
  [[nodiscard]] bool has_ready() const noexcept { return !ready_.empty(); }

  // The piece that this reply is for, now kAnswered; nothing when none waits for it, and the reply
  // is finished already.
  [[nodiscard]] std::optional<std::uint32_t> take_reply(const BlockReply& reply,
                                                        const ReplyTicket& ticket);

  // The piece is over: its buffer goes back, whosever it is, and its reply is finished.
  // Requires: not kSubmitted.
  void free(std::uint32_t index);
  // The same of a predecessor's piece that was not revived.
  void forget(std::uint32_t index);

  [[nodiscard]] std::uint32_t living_count() const noexcept {
    return kPieceCountMax - static_cast<std::uint32_t>(free_.size());
  }
  // Replies that were for nobody: repeated after a death, or of a client that has gone.
  [[nodiscard]] std::uint64_t dropped_reply_count() const noexcept { return dropped_count_; }

 private:
  void publish(std::uint32_t index);

  FrontMemory* memory_;
  BlockPort* port_;
  std::vector<std::uint32_t> free_;
  std::deque<std::uint32_t> ready_;
  std::array<std::optional<ReplyTicket>, kPieceCountMax> tickets_;
  std::uint32_t data_count_ = 0;  // living pieces whose replies bring data
  std::uint64_t dropped_count_ = 0;
};

}  // namespace slipring::array

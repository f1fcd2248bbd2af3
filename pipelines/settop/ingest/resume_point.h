// Where in its file a restarted ingest goes on: exactly behind what its predecessor published.
//
// Protocol.  Three words on the stage's board, which outlives the process.  Before each message:
//   position_before = the link's position;  offset_after = the offset behind the message;
// after it: offset_before = offset_after.  A successor that finds the link still at position_before
// knows that the message was not published and goes on at offset_before, otherwise at offset_after.
// Invariant at every instant: the word so chosen is the offset behind the last published message.
#pragma once

#include <atomic>
#include <cstdint>

#include "pipelines/link/board.h"

namespace slipring::settop {

class ResumePoint {
 public:
  ResumePoint(Board::Number position_before, Board::Number offset_before,
              Board::Number offset_after) noexcept
      : position_before_(position_before),
        offset_before_(offset_before),
        offset_after_(offset_after) {}

  // For a successor.  0 for the first incarnation.
  [[nodiscard]] std::uint64_t offset_bytes(std::uint64_t link_position) const noexcept {
    return position_before_.get() == link_position ? offset_before_.get() : offset_after_.get();
  }

  // Around each publication.  The compiler must keep the order; what the processor reorders is in
  // memory before the death certificate is given.
  void before_publish(std::uint64_t link_position, std::uint64_t size_bytes) noexcept {
    position_before_.set(link_position);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    offset_after_.set(offset_before_.get() + size_bytes);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  void after_publish() noexcept {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    offset_before_.set(offset_after_.get());
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }

 private:
  Board::Number position_before_;
  Board::Number offset_before_;
  Board::Number offset_after_;
};

}  // namespace slipring::settop

// One 64-bit word of a writer's state that changes with each publication, kept for its successor:
// how far in a file it had read, say, or the newest time stamp that it had sent.
//
// Protocol.  Three words on the stage's board, which outlives the process.  Before a message:
//   position_before = the link's position;  word_after = the word that goes with the message;
// after it: word_before = word_after.  A successor that finds the link still at position_before
// knows that the message was not published, and takes word_before, otherwise word_after.
// Invariant at every instant: the word so chosen belongs to the last published message.
#pragma once

#include <atomic>
#include <cstdint>

#include "pipelines/link/board.h"

namespace slipring {

// One thread.
class PublishedWord {
 public:
  PublishedWord(Board::Number position_before, Board::Number word_before,
                Board::Number word_after) noexcept
      : position_before_(position_before), word_before_(word_before), word_after_(word_after) {}

  // For a successor.  0 when nothing has been published.
  [[nodiscard]] std::uint64_t value(std::uint64_t link_position) const noexcept {
    return position_before_.get() == link_position ? word_before_.get() : word_after_.get();
  }

  // Around each publication.  The compiler must keep the order; what the processor reorders is in
  // memory before the death certificate is given.
  void before_publish(std::uint64_t link_position, std::uint64_t word) noexcept {
    position_before_.set(link_position);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    word_after_.set(word);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  void after_publish() noexcept {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    word_before_.set(word_after_.get());
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }

 private:
  Board::Number position_before_;
  Board::Number word_before_;
  Board::Number word_after_;
};

}  // namespace slipring

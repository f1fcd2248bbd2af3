// The time stamp of the last frame that a decoder has published, kept for its successor.
//
// A killed decoder's unfinished input is delivered again, and with it frames that are on their way
// already.  Their stamps are not newer than the last published one.
//
// Protocol.  Three words on the stage's board, as in an ingest's resume point: before a frame,
//   position_before = the link's position;  stamp_after = the frame's stamp;
// after it: stamp_before = stamp_after.  A successor that finds the link still at position_before
// knows that the frame was not published, and takes stamp_before, otherwise stamp_after.
#pragma once

#include <atomic>
#include <cstdint>

#include "pipelines/link/board.h"
#include "pipelines/settop/media_record.h"

namespace slipring::settop {

class PublishedStamp {
 public:
  PublishedStamp(Board::Number position_before, Board::Number stamp_before,
                 Board::Number stamp_after) noexcept
      : position_before_(position_before), stamp_before_(stamp_before), stamp_after_(stamp_after) {}

  // What the predecessor published last; kNoTimestamp when there is none.
  [[nodiscard]] std::int64_t last(std::uint64_t link_position) const noexcept {
    const Board::Number& word =
        position_before_.get() == link_position ? stamp_before_ : stamp_after_;
    return decoded(word.get());
  }

  // Around each publication.  The compiler must keep the order; what the processor reorders is in
  // memory before the death certificate is given.
  void before_publish(std::uint64_t link_position, std::int64_t pts) noexcept {
    position_before_.set(link_position);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    stamp_after_.set(encoded(pts));
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  void after_publish() noexcept {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    stamp_before_.set(stamp_after_.get());
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }

 private:
  // A fresh board holds zeroes, which must mean "none".
  static std::uint64_t encoded(std::int64_t pts) noexcept {
    return static_cast<std::uint64_t>(pts) ^ static_cast<std::uint64_t>(kNoTimestamp);
  }
  static std::int64_t decoded(std::uint64_t word) noexcept {
    return static_cast<std::int64_t>(word ^ static_cast<std::uint64_t>(kNoTimestamp));
  }

  Board::Number position_before_;
  Board::Number stamp_before_;
  Board::Number stamp_after_;
};

}  // namespace slipring::settop

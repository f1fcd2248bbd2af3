// The time stamp of the last frame that a decoder has published, kept for its successor.
//
// A killed decoder's unfinished input is delivered again, and with it frames that are on their way
// already.  Their stamps are not newer than the last published one.
#pragma once

#include <cstdint>

#include "pipelines/link/published_word.h"
#include "pipelines/settop/media_record.h"

namespace slipring::settop {

class PublishedStamp {
 public:
  PublishedStamp(Board::Number position_before, Board::Number stamp_before,
                 Board::Number stamp_after) noexcept
      : word_(position_before, stamp_before, stamp_after) {}

  // What the predecessor published last; kNoTimestamp when there is none.
  [[nodiscard]] std::int64_t last(std::uint64_t link_position) const noexcept {
    return decoded(word_.value(link_position));
  }

  // Around each publication.
  void before_publish(std::uint64_t link_position, std::int64_t pts) noexcept {
    word_.before_publish(link_position, encoded(pts));
  }
  void after_publish() noexcept { word_.after_publish(); }

 private:
  // A fresh board holds zeroes, which must mean "none".
  static std::uint64_t encoded(std::int64_t pts) noexcept {
    return static_cast<std::uint64_t>(pts) ^ static_cast<std::uint64_t>(kNoTimestamp);
  }
  static std::int64_t decoded(std::uint64_t word) noexcept {
    return static_cast<std::int64_t>(word ^ static_cast<std::uint64_t>(kNoTimestamp));
  }

  PublishedWord word_;
};

}  // namespace slipring::settop

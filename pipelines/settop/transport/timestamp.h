// 33-bit time stamps of 90 kHz, made to run on past their wrap (every 26.5 hours).
//
// A stamp means the value nearest to a reference, which follows the stamps.  All streams of a
// programme and its clock share one TimestampLine, so that audio and video stay together whichever
// of them wraps first and however B-frames straddle the wrap.
//
// One wrong stamp must not drag the line away: the reference follows a far jump only when the next
// far stamp confirms it.  Until then both are read against the old reference, which gives the same
// distance between them.
#pragma once

#include <cstdint>

#include "pipelines/settop/media_record.h"

namespace slipring::settop {

inline constexpr std::int64_t kTimestampSpan = std::int64_t{1} << 33;

class TimestampLine {
 public:
  // The value nearest to the reference; the first stamp stands for itself.  May be negative where
  // the line began just after a wrap.  Requires: raw < 2^33.
  [[nodiscard]] std::int64_t nearest(std::uint64_t raw) const {
    const auto value = static_cast<std::int64_t>(raw);
    if (!known_) return value;
    // Modulo 2^33, brought into [-2^32, 2^32).
    const std::int64_t half = kTimestampSpan / 2;
    const std::int64_t difference = (value - reference_ + half) & (kTimestampSpan - 1);
    return reference_ + difference - half;
  }

  // As nearest(), and the reference follows.  Requires: raw < 2^33.
  std::int64_t follow(std::uint64_t raw) {
    const std::int64_t value = nearest(raw);
    if (!known_ || is_near(value, reference_) || (far_known_ && is_near(value, far_))) {
      reference_ = value;
      known_ = true;
      far_known_ = false;
    } else {
      far_ = value;
      far_known_ = true;
    }
    return value;
  }

  void reset() { *this = TimestampLine{}; }

 private:
  static constexpr std::int64_t kNear = std::int64_t{1} << 30;  // 3.3 hours

  [[nodiscard]] static bool is_near(std::int64_t a, std::int64_t b) {
    return a - b < kNear && b - a < kNear;
  }

  bool known_ = false;
  bool far_known_ = false;
  std::int64_t reference_ = 0;
  std::int64_t far_ = 0;
};

}  // namespace slipring::settop

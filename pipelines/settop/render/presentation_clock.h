// When to show a frame: presentation time stamps against CLOCK_MONOTONIC.
//
// Pictures and sound of one programme share a clock.  The first frame after construction or reset()
// is due at once (plus the start delay) and so ties the stamps to the time: a *timeline*.  A frame
// that would be due further away than the largest jump, before or behind, belongs to another
// timeline: the stamps have jumped, and the frame starts a timeline of its own.  The two newest
// timelines are kept, because at a jump the old stamps of one stream still arrive between the new
// ones of the other.
//
// Nothing here sleeps or reads a clock: the caller says what time it is.
#pragma once

#include <cstdint>

#include "pipelines/settop/media_record.h"

namespace slipring::settop {

struct PresentationOptions {
  bool paced = true;                             // false: every frame is due at once
  std::int64_t start_delay_ns = 0;               // gives the first frames' jitter somewhere to go
  std::int64_t largest_jump_ns = 2'000'000'000;  // more is a discontinuity
  std::int64_t late_from_ns = 40'000'000;        // shown later than this counts as late
};

struct PresentationStats {
  std::uint64_t shown_count = 0;
  std::uint64_t late_count = 0;
  std::int64_t worst_lateness_ns = 0;
  std::uint64_t jump_count = 0;  // discontinuities, the start of a stream not counted
};

class PresentationClock {
 public:
  explicit PresentationClock(PresentationOptions options = {}) noexcept : options_(options) {}

  // A channel change or a new stream: the next frame sets the origin.
  void reset() noexcept {
    newest_ = {};
    before_ = {};
  }

  // How long to wait before the frame is to be shown; zero or less: now.  Asking again with the
  // same stamp gives the same due time.  A frame without a stamp is due at once.
  [[nodiscard]] std::int64_t until_due_ns(std::int64_t pts, std::int64_t now_ns) noexcept;

  // Counts a frame as shown at now_ns.  To be called once a frame, after until_due_ns().
  void note_shown(std::int64_t pts, std::int64_t now_ns) noexcept;

  [[nodiscard]] const PresentationStats& stats() const noexcept { return stats_; }

 private:
  struct Timeline {
    bool set = false;
    std::int64_t pts = 0;
    std::int64_t due_ns = 0;
  };

  // Whether the timeline explains the stamp; due_ns is then when the frame is due.
  [[nodiscard]] bool places(const Timeline& timeline, std::int64_t pts, std::int64_t now_ns,
                            std::int64_t& due_ns) const noexcept;

  PresentationOptions options_;
  Timeline newest_;
  Timeline before_;
  PresentationStats stats_;
};

}  // namespace slipring::settop

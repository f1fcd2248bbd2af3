#include "pipelines/settop/render/presentation_clock.h"

#include <algorithm>

namespace slipring::settop {
namespace {

// 90 kHz ticks that stay within 64 bits when counted in nanoseconds: about eight years.
constexpr std::int64_t kMaxTicks = INT64_MAX / 100'000 / 4;

constexpr std::int64_t ticks_to_ns(std::int64_t ticks) {
  return ticks * 100'000 / 9;
}

}  // namespace

bool PresentationClock::places(const Timeline& timeline, std::int64_t pts, std::int64_t now_ns,
                               std::int64_t& due_ns) const noexcept {
  if (!timeline.set) return false;
  std::int64_t ticks = 0;
  if (__builtin_sub_overflow(pts, timeline.pts, &ticks)) return false;
  if (ticks > kMaxTicks || ticks < -kMaxTicks) return false;
  due_ns = timeline.due_ns + ticks_to_ns(ticks);
  const std::int64_t away_ns = due_ns - now_ns;
  return away_ns <= options_.largest_jump_ns && away_ns >= -options_.largest_jump_ns;
}

std::int64_t PresentationClock::until_due_ns(std::int64_t pts, std::int64_t now_ns) noexcept {
  if (!options_.paced || pts == kNoTimestamp) return 0;
  std::int64_t due_ns = 0;
  if (places(newest_, pts, now_ns, due_ns) || places(before_, pts, now_ns, due_ns)) {
    return due_ns - now_ns;
  }
  if (newest_.set) ++stats_.jump_count;
  before_ = newest_;
  newest_ = {.set = true, .pts = pts, .due_ns = now_ns + options_.start_delay_ns};
  return options_.start_delay_ns;
}

void PresentationClock::note_shown(std::int64_t pts, std::int64_t now_ns) noexcept {
  ++stats_.shown_count;
  std::int64_t due_ns = 0;
  if (!options_.paced || pts == kNoTimestamp) return;
  if (!places(newest_, pts, now_ns, due_ns) && !places(before_, pts, now_ns, due_ns)) return;
  const std::int64_t lateness_ns = now_ns - due_ns;
  if (lateness_ns > options_.late_from_ns) ++stats_.late_count;
  stats_.worst_lateness_ns = std::max(stats_.worst_lateness_ns, lateness_ns);
}

}  // namespace slipring::settop

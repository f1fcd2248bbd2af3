#include "pipelines/settop/render/presentation_clock.h"

#include <doctest/doctest.h>

namespace slipring::settop {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kTicksPerMs = 90;
constexpr std::int64_t kStart = 5'000'000 * kMs;

TEST_CASE("presentation_clock: the first frame is due at once and ties stamps to time") {
  PresentationClock clock;
  CHECK(clock.until_due_ns(1000 * kTicksPerMs, kStart) == 0);
  CHECK(clock.until_due_ns(1040 * kTicksPerMs, kStart + 10 * kMs) == 30 * kMs);
  CHECK(clock.until_due_ns(1040 * kTicksPerMs, kStart + 40 * kMs) == 0);
  CHECK(clock.until_due_ns(1040 * kTicksPerMs, kStart + 55 * kMs) == -15 * kMs);
}

TEST_CASE("presentation_clock: the start delay moves everything") {
  PresentationClock clock({.start_delay_ns = 100 * kMs});
  CHECK(clock.until_due_ns(0, kStart) == 100 * kMs);
  CHECK(clock.until_due_ns(40 * kTicksPerMs, kStart) == 140 * kMs);
}

TEST_CASE("presentation_clock: rounding does not add up over a day") {
  PresentationClock clock;
  CHECK(clock.until_due_ns(0, kStart) == 0);
  constexpr std::int64_t kDayMs = 24 * 3600 * 1000;
  for (std::int64_t hour = 1; hour <= 24; ++hour) {
    const std::int64_t ms = hour * 3600 * 1000;
    CHECK(clock.until_due_ns(ms * kTicksPerMs, kStart + ms * kMs) == 0);
  }
  CHECK(clock.until_due_ns(kDayMs * kTicksPerMs + 3003, kStart + kDayMs * kMs) ==
        3003 * 100'000 / 9);
  CHECK(clock.stats().jump_count == 0);
}

TEST_CASE("presentation_clock: late frames are counted, the clock stays") {
  PresentationClock clock({.late_from_ns = 20 * kMs});
  CHECK(clock.until_due_ns(0, kStart) == 0);
  clock.note_shown(0, kStart);
  clock.note_shown(40 * kTicksPerMs, kStart + 60 * kMs);   // 20 ms late: tolerated
  clock.note_shown(80 * kTicksPerMs, kStart + 101 * kMs);  // 21 ms late
  CHECK(clock.stats().shown_count == 3);
  CHECK(clock.stats().late_count == 1);
  CHECK(clock.stats().worst_lateness_ns == 21 * kMs);
  CHECK(clock.until_due_ns(120 * kTicksPerMs, kStart + 100 * kMs) == 20 * kMs);
}

TEST_CASE("presentation_clock: a jump of the stamps begins a new timeline, either way") {
  PresentationClock clock({.largest_jump_ns = 1000 * kMs});
  CHECK(clock.until_due_ns(0, kStart) == 0);
  CHECK(clock.until_due_ns(1001 * kTicksPerMs, kStart) == 0);  // forwards
  CHECK(clock.until_due_ns(1041 * kTicksPerMs, kStart) == 40 * kMs);
  CHECK(clock.until_due_ns(-5000 * kTicksPerMs, kStart + 10 * kMs) == 0);  // backwards
  CHECK(clock.until_due_ns(-4990 * kTicksPerMs, kStart + 10 * kMs) == 10 * kMs);
  CHECK(clock.stats().jump_count == 2);
}

TEST_CASE("presentation_clock: at a jump, the other stream's old stamps keep their time") {
  PresentationClock clock({.largest_jump_ns = 1000 * kMs});
  CHECK(clock.until_due_ns(0, kStart) == 0);
  // Pictures have jumped, sound has not yet: they alternate.
  std::int64_t now = kStart + 500 * kMs;
  CHECK(clock.until_due_ns(90'000 * kTicksPerMs, now) == 0);
  for (std::int64_t step = 0; step < 10; ++step) {
    CHECK(clock.until_due_ns((500 + 20 * step) * kTicksPerMs, now) == 0);
    CHECK(clock.until_due_ns((90'000 + 20 * step) * kTicksPerMs, now) == 0);
    now += 20 * kMs;
  }
  CHECK(clock.stats().jump_count == 1);
}

TEST_CASE("presentation_clock: reset lets the next frame set the origin") {
  PresentationClock clock;
  CHECK(clock.until_due_ns(0, kStart) == 0);
  clock.reset();
  CHECK(clock.until_due_ns(500 * kTicksPerMs, kStart + 3 * kMs) == 0);
  CHECK(clock.until_due_ns(520 * kTicksPerMs, kStart + 3 * kMs) == 20 * kMs);
  CHECK(clock.stats().jump_count == 0);
}

TEST_CASE("presentation_clock: without pacing or without a stamp, a frame is due at once") {
  PresentationClock unpaced({.paced = false});
  CHECK(unpaced.until_due_ns(0, kStart) == 0);
  CHECK(unpaced.until_due_ns(90'000, kStart) == 0);
  unpaced.note_shown(0, kStart + 1000 * kMs);
  CHECK(unpaced.stats().shown_count == 1);
  CHECK(unpaced.stats().late_count == 0);
  PresentationClock clock;
  CHECK(clock.until_due_ns(kNoTimestamp, kStart) == 0);
  CHECK(clock.until_due_ns(90'000, kStart) == 0);  // this one sets the origin
}

TEST_CASE("presentation_clock: extreme stamps are jumps, not overflows") {
  PresentationClock clock;
  CHECK(clock.until_due_ns(INT64_MAX, kStart) == 0);
  CHECK(clock.until_due_ns(INT64_MIN + 1, kStart) == 0);
  CHECK(clock.until_due_ns(0, kStart) == 0);
  CHECK(clock.until_due_ns(INT64_MAX / 2, kStart) == 0);
  clock.note_shown(INT64_MIN + 1, kStart);
  CHECK(clock.stats().jump_count == 3);
}

}  // namespace
}  // namespace slipring::settop

#include "pipelines/settop/transport/continuity.h"

#include <doctest/doctest.h>

#include "tests/pipelines/settop/transport/stream_builder.h"

namespace slipring::settop {
namespace {

using testing::Bytes;

struct Source {
  Bytes data = testing::pattern(184, 1);

  PacketView packet(std::uint8_t count, std::size_t payload_count = 184) const {
    PacketView view;
    view.has_payload = true;
    view.continuity_count = count & 0x0f;
    view.payload = std::span(data).first(payload_count);
    return view;
  }

  static PacketView bare(std::uint8_t count, bool discontinuity) {
    PacketView view;
    view.continuity_count = count;
    view.discontinuity = discontinuity;
    return view;
  }
};

TEST_CASE("continuity: counts in order pass, round and round") {
  const Source source;
  ContinuityTracker tracker;
  for (int i = 5; i < 100; ++i) {
    CHECK(tracker.check(source.packet(static_cast<std::uint8_t>(i))) == Continuity::kInOrder);
  }
}

TEST_CASE("continuity: every jump but by one is a gap, and is forgotten after it") {
  const Source source;
  for (std::uint8_t jump = 2; jump < 16; ++jump) {
    ContinuityTracker tracker;
    (void)tracker.check(source.packet(3));
    CHECK(tracker.check(source.packet(static_cast<std::uint8_t>(3 + jump))) == Continuity::kGap);
    CHECK(tracker.check(source.packet(static_cast<std::uint8_t>(4 + jump))) ==
          Continuity::kInOrder);
  }
}

TEST_CASE("continuity: the same count is a copy with the same payload, and a gap with another") {
  const Source source;
  ContinuityTracker tracker;
  (void)tracker.check(source.packet(3));
  CHECK(tracker.check(source.packet(3)) == Continuity::kDuplicate);
  CHECK(tracker.check(source.packet(3)) == Continuity::kRepeated);
  CHECK(tracker.check(source.packet(3)) == Continuity::kRepeated);
  CHECK(tracker.check(source.packet(4)) == Continuity::kInOrder);
  CHECK(tracker.check(source.packet(4, 183)) == Continuity::kGap);
}

TEST_CASE("continuity: packets without payload do not count") {
  const Source source;
  ContinuityTracker tracker;
  (void)tracker.check(source.packet(3));
  CHECK(tracker.check(Source::bare(3, false)) == Continuity::kInOrder);
  CHECK(tracker.check(Source::bare(9, false)) == Continuity::kInOrder);
  CHECK(tracker.check(source.packet(4)) == Continuity::kInOrder);
}

TEST_CASE("continuity: an announced jump is no gap, wherever it was announced") {
  const Source source;
  ContinuityTracker tracker;
  (void)tracker.check(source.packet(3));
  PacketView jumping = source.packet(11);
  jumping.discontinuity = true;
  CHECK(tracker.check(jumping) == Continuity::kAnnouncedJump);
  (void)tracker.check(Source::bare(11, true));
  CHECK(tracker.check(source.packet(2)) == Continuity::kAnnouncedJump);
  CHECK(tracker.check(source.packet(9)) == Continuity::kGap);
}

TEST_CASE("continuity: after distrust the right count is a gap all the same, once") {
  const Source source;
  ContinuityTracker tracker;
  (void)tracker.check(source.packet(3));
  tracker.distrust();
  CHECK(tracker.check(source.packet(4)) == Continuity::kGap);
  CHECK(tracker.check(source.packet(5)) == Continuity::kInOrder);
  tracker.reset();
  tracker.distrust();
  CHECK(tracker.check(source.packet(9)) == Continuity::kInOrder);
}

}  // namespace
}  // namespace slipring::settop

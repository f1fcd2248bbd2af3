// A message there and back, through two channels of a contender (see stream_loop.h).
//
// Both sides poll without pausing.  The first half of the time is measured as a whole, which gives
// the mean without the cost of stamping; in the second half every trip is stamped, which gives the
// percentiles.
#pragma once

#include <cstdint>

#include "tools/bench/arena.h"
#include "tools/bench/cell.h"
#include "tools/bench/message.h"
#include "tools/bench/sides.h"
#include "tools/bench/stream_loop.h"
#include "tools/bench/ticks.h"

namespace slipring::bench {

// Polls for the next message; false when the other side has given up, or the deadline has passed.
template <typename M, typename End>
bool poll(End& end, M& message, MeetingPoint& point, std::uint64_t deadline_ns) {
  for (std::uint32_t tries = 1; !end.try_pop(message); ++tries) {
    if (tries % 65536 != 0) continue;
    if (point.gave_up.look() != 0) return false;
    if (monotonic_ns() < deadline_ns) continue;
    point.gave_up.publish(1);
    return false;
  }
  return true;
}

template <typename M, typename End>
bool send_one(End& end, const M& message, MeetingPoint& point, std::uint64_t deadline_ns) {
  for (std::uint32_t tries = 1; !end.try_push(message); ++tries) {
    if (tries % 65536 != 0) continue;
    if (point.gave_up.look() != 0) return false;
    if (monotonic_ns() < deadline_ns) continue;
    point.gave_up.publish(1);
    return false;
  }
  flush(end);
  return true;
}

// The side that sends everything back, until the end mark.
template <typename M, typename Channel>
void echo(Channel& there, Channel& back, MeetingPoint& point, std::uint64_t deadline_ns,
          StreamOutcome& outcome) {
  auto in = there.consumer();
  auto out = back.producer();
  start_together(point, 2);
  StreamJudge judge;
  M message;
  while (poll(in, message, point, deadline_ns)) {
    if (!take(judge, message)) break;
    if (!send_one(out, message, point, deadline_ns)) break;
  }
  const Faults faults = judge.faults(0);
  outcome.received = judge.received();
  outcome.reordered = faults.reordered;
  outcome.torn = faults.torn;
}

template <typename M, typename Out, typename In>
class TripMaker {
 public:
  TripMaker(Out& out, In& in, MeetingPoint& point, std::uint64_t deadline_ns)
      : out_(&out), in_(&in), point_(&point), deadline_ns_(deadline_ns) {}

  bool make_trip() {
    message_.set(judge_.expected_first());
    return send_one(*out_, message_, *point_, deadline_ns_) &&
           poll(*in_, message_, *point_, deadline_ns_) && take(judge_, message_);
  }
  void end() {
    message_.set(kEndMark);
    (void)send_one(*out_, message_, *point_, deadline_ns_);
  }
  [[nodiscard]] const StreamJudge& judge() const { return judge_; }

 private:
  Out* out_;
  In* in_;
  MeetingPoint* point_;
  std::uint64_t deadline_ns_;
  M message_{};
  StreamJudge judge_;
};

template <typename M, typename Channel>
void make_trips(Channel& there, Channel& back, MeetingPoint& point, std::uint64_t duration_ns,
                CellResult& result) {
  auto out = there.producer();
  auto in = back.consumer();
  start_together(point, 2);
  const std::uint64_t start_ns = monotonic_ns();
  TripMaker<M, decltype(out), decltype(in)> maker(out, in, point,
                                                  start_ns + duration_ns + kStallNs);
  bool going = true;
  for (int i = 0; going && i < 64; ++i) going = maker.make_trip();  // warms up
  std::uint64_t trip_count = 0;
  const std::uint64_t begin_ns = monotonic_ns();
  std::uint64_t end_ns = begin_ns;
  while (going && end_ns - begin_ns < duration_ns / 2) {
    for (int i = 0; going && i < 64; ++i) going = maker.make_trip();
    trip_count += 64;
    end_ns = monotonic_ns();
  }
  if (going)
    result.value = static_cast<double>(end_ns - begin_ns) / static_cast<double>(trip_count);
  const std::uint64_t until_ticks = ticks_now() + ticks_of_ns(duration_ns / 2);
  for (std::uint64_t last = ticks_now(); going && last < until_ticks;) {
    going = maker.make_trip();
    const std::uint64_t now = ticks_now();
    if (going) result.latency.add(now - last);
    last = now;
  }
  result.stalled = !going;
  maker.end();
  result.message_count = maker.judge().received();
  result.faults = maker.judge().faults(0);
}

template <typename Channel, typename M, Sides kSides>
CellResult run_trips(const CellSettings& settings) {
  Arena arena(kArenaBytes);
  auto& point = arena.make<MeetingPoint>();
  auto& outcome = arena.make<StreamOutcome>();
  auto& there = arena.make<Channel>(arena);
  auto& back = arena.make<Channel>(arena);
  const std::uint64_t deadline_ns = monotonic_ns() + settings.duration_ns + kStallNs;
  CellResult result;
  run_sides(
      kSides, settings, [&] { make_trips<M>(there, back, point, settings.duration_ns, result); },
      [&] { echo<M>(there, back, point, deadline_ns, outcome); });
  if (result.stalled) result.value = 0;
  result.faults.reordered += outcome.reordered;
  result.faults.torn += outcome.torn;
  return result;
}

}  // namespace slipring::bench

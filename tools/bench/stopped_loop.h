// One producer and one consumer go on while a second producer is stopped at a random instruction.
//
// The stop is a signal whose handler waits: to everybody else the thread is gone, at whatever
// instruction the signal found it.  Many stops are tried, each with a rate of its own; a contender
// that stood still in one of them is stalled, and the page says in how many.
#pragma once

#include <cstdint>
#include <functional>

#include "tools/bench/many_loop.h"

namespace slipring::bench {

inline constexpr std::uint32_t kStopCount = 40;

struct StopSummary {
  double ratio = 0;  // median rate beside the stopped one, over the median rate before it began
  std::uint32_t stalled_stops = 0;
};

// `totals` shows what arrives; `victim` is what the second producer runs until totals.stop, which
// this sets at the end.
[[nodiscard]] StopSummary stop_many_times(ManyTotals& totals, const std::function<void()>& victim);

template <typename Channel, typename M>
CellResult run_stopped(const CellSettings& settings) {
  constexpr std::uint32_t kSides = 3;
  Arena arena(kArenaBytes);
  auto& point = arena.make<MeetingPoint>();
  auto& totals = arena.make<ManyTotals>();
  auto& channel = arena.make<Channel>(arena);
  const std::uint64_t deadline_ns = monotonic_ns() + 4 * kStallNs;
  std::thread producer([&] {
    pin_to(settings.cpu_here);
    send_many<M>(channel, 0, kSides, point, totals, deadline_ns);
  });
  std::thread consumer([&] {
    pin_to(settings.cpu_there);
    receive_many<M>(channel, 2, 0, kSides, point, totals, deadline_ns);
  });
  pin_to_both(settings);
  start_together(point, kSides);
  const StopSummary summary = stop_many_times(totals, [&] {
    pin_to(settings.cpu_here);
    send_many<M>(channel, 1, kSides, point, totals, deadline_ns);
  });
  producer.join();
  point.sent_and_one.publish(totals.sent.look() + 1);
  consumer.join();
  CellResult result;
  result.stalled = summary.stalled_stops != 0;
  result.value = result.stalled ? 0 : summary.ratio;
  result.message_count = totals.judges[0].count();
  result.faults = totals.judges[0].faults(totals.sent.look(), totals.sum_sent.look());
  result.extras.emplace_back("stops", kStopCount);
  result.extras.emplace_back("stalled_stops", summary.stalled_stops);
  return result;
}

template <template <typename> class Channel>
void add_stopped(Registry& registry, const Contender& contender) {
  registry.add("stopped", contender, run_stopped<Channel<std::uint64_t>, std::uint64_t>);
}

}  // namespace slipring::bench

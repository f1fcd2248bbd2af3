// Calls between two processes: 64 bytes there, 64 other bytes back, kBatch of them at a time.
//
// A contender is a Service: constructible from an Arena, with caller() and server(), each called in
// the process that uses the end.  The caller's exchange(requests, answers) sends all of them and
// answers whether every answer has come; the server's serve(work) waits for a while, runs
// work(request, answer) for what has come, and sends the answers.
//
// The answer to a request whose first word is w begins with ~w, so that nothing that was merely
// left in a buffer passes for it.  Every word of both is checked.  The first half of the time is
// measured as a whole; in the second half every exchange is stamped, for the percentiles.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "tools/bench/arena.h"
#include "tools/bench/cell.h"
#include "tools/bench/message.h"
#include "tools/bench/sides.h"
#include "tools/bench/stream_loop.h"
#include "tools/bench/ticks.h"

namespace slipring::bench {

using CallMessage = Message<64>;
inline constexpr std::size_t kCallBatchMax = 64;

// The server's work, and what it found.
class CallWork {
 public:
  void operator()(const CallMessage& request, CallMessage& answer) {
    is_over_ = !take(judge_, request);
    answer.set(~request.first());
  }
  [[nodiscard]] bool is_over() const { return is_over_; }
  [[nodiscard]] const StreamJudge& judge() const { return judge_; }

 private:
  StreamJudge judge_;
  bool is_over_ = false;
};

template <typename Service>
void serve_calls(Service& service, MeetingPoint& point, std::uint64_t deadline_ns,
                 StreamOutcome& outcome) {
  auto end = service.server();
  start_together(point, 2);
  CallWork work;
  while (!work.is_over()) {
    if (end.serve(work)) continue;
    if (point.gave_up.look() != 0 || monotonic_ns() > deadline_ns) break;
  }
  const Faults faults = work.judge().faults(0);
  outcome.reordered = faults.reordered;
  outcome.torn = faults.torn;
}

template <std::size_t kBatch, typename Caller>
class CallMaker {
 public:
  explicit CallMaker(Caller& caller) : caller_(&caller) {}

  bool make_calls() {
    std::uint64_t first = judge_.expected_first();
    for (CallMessage& request : requests_) {
      request.set(first);
      first += kStep;
    }
    if (!caller_->exchange(requests_, answers_)) return false;
    for (const CallMessage& answer : answers_) {
      const std::uint64_t expected = judge_.expected_first();
      if (answer.is(~expected)) [[likely]] {
        judge_.accept();
      } else {
        judge_.judge(~answer.first(), answer.is(answer.first()));
      }
    }
    return true;
  }
  void end() {
    std::array<CallMessage, 1> request{};
    std::array<CallMessage, 1> answer{};
    request[0].set(kEndMark);
    (void)caller_->exchange(request, answer);
  }
  [[nodiscard]] const StreamJudge& judge() const { return judge_; }

 private:
  static_assert(kBatch <= kCallBatchMax);
  Caller* caller_;
  StreamJudge judge_;
  std::array<CallMessage, kBatch> requests_{};
  std::array<CallMessage, kBatch> answers_{};
};

template <std::size_t kBatch, typename Service>
void make_all_calls(Service& service, MeetingPoint& point, std::uint64_t duration_ns,
                    bool wants_rate, CellResult& result) {
  auto caller = service.caller();
  start_together(point, 2);
  CallMaker<kBatch, decltype(caller)> maker(caller);
  bool going = true;
  for (int i = 0; going && i < 64; ++i) going = maker.make_calls();  // warms up
  constexpr int kExchanges = 16;  // between two looks at the clock
  std::uint64_t exchange_count = 0;
  const std::uint64_t begin_ns = monotonic_ns();
  std::uint64_t end_ns = begin_ns;
  while (going && end_ns - begin_ns < duration_ns / 2) {
    for (int i = 0; going && i < kExchanges; ++i) going = maker.make_calls();
    exchange_count += kExchanges;
    end_ns = monotonic_ns();
  }
  const auto each_ns =
      static_cast<double>(end_ns - begin_ns) / static_cast<double>(exchange_count * kBatch);
  if (going) result.value = wants_rate ? 1e9 / each_ns : each_ns;
  const std::uint64_t until_ticks = ticks_now() + ticks_of_ns(duration_ns / 2);
  for (std::uint64_t last = ticks_now(); going && last < until_ticks;) {
    going = maker.make_calls();
    const std::uint64_t now = ticks_now();
    if (going) result.latency.add(now - last);
    last = now;
  }
  result.stalled = !going;
  if (going) maker.end();
  if (!going) point.gave_up.publish(1);
  result.message_count = maker.judge().received();
  result.faults = maker.judge().faults(0);
}

template <typename Service, std::size_t kBatch>
CellResult run_calls(const CellSettings& settings) {
  Arena arena(kArenaBytes);
  auto& point = arena.make<MeetingPoint>();
  auto& outcome = arena.make<StreamOutcome>();
  auto& service = arena.make<Service>(arena);
  const std::uint64_t deadline_ns = monotonic_ns() + settings.duration_ns + kStallNs;
  CellResult result;
  run_sides(
      Sides::kProcesses, settings,
      [&] { make_all_calls<kBatch>(service, point, settings.duration_ns, kBatch != 1, result); },
      [&] { serve_calls(service, point, deadline_ns, outcome); });
  if (result.stalled) result.value = 0;
  result.faults.reordered += outcome.reordered;
  result.faults.torn += outcome.torn;
  return result;
}

}  // namespace slipring::bench

// One producer's stream to one consumer: the loops around a contender, inlined with it.
//
// A contender is a Channel: constructible from an Arena, with producer() and consumer() giving the
// ends.  A producer has try_push(const M&), a consumer try_pop(M&), both answering whether it was
// done; try_push_batch(const M*, n) and try_pop_batch(M*, n) answer how many; flush(), if there is
// one, makes visible what is not yet.  Every word of every message is checked.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "tools/bench/arena.h"
#include "tools/bench/cell.h"
#include "tools/bench/message.h"
#include "tools/bench/sides.h"
#include "tools/bench/ticks.h"

namespace slipring::bench {

inline constexpr std::size_t kArenaBytes = 64U << 20;

// What the consuming side found; lies in the arena.
struct StreamOutcome {
  double messages_per_second = 0;
  std::uint64_t received = 0;
  std::uint64_t reordered = 0;
  std::uint64_t torn = 0;
  std::uint64_t stalled = 0;
};

// Messages between two looks at the clock: often enough for slow contenders, rarely enough for fast
// ones.
template <typename M>
inline constexpr std::size_t kChunk = sizeof(M) >= 65536 ? 16
                                      : sizeof(M) >= 512 ? 262144 / sizeof(M)
                                                         : 2048;

template <typename End>
void flush(End& end) {
  if constexpr (requires { end.flush(); }) end.flush();
}

template <typename M, std::size_t kBatch, typename End>
bool push_some(End& end, const std::array<M, kBatch>& batch, Patience& patience) {
  patience.reset();
  if constexpr (kBatch == 1) {
    while (!end.try_push(batch[0])) {
      if (!patience.wait()) return false;
    }
  } else {
    for (std::size_t done = 0; done < kBatch;) {
      const std::size_t count = end.try_push_batch(batch.data() + done, kBatch - done);
      done += count;
      if (count == 0 && !patience.wait()) return false;
    }
  }
  return true;
}

template <typename M, std::size_t kBatch, typename Channel>
void send_stream(Channel& channel, MeetingPoint& point, std::uint64_t duration_ns) {
  auto end = channel.producer();
  start_together(point, 2);
  const std::uint64_t until_ns = monotonic_ns() + duration_ns;
  Patience patience(point, until_ns + kStallNs, false);
  std::array<M, kBatch> batch;
  std::uint64_t first = first_word(0);
  std::uint64_t sent = 0;
  bool going = true;
  while (going && monotonic_ns() < until_ns) {
    for (std::size_t i = 0; going && i < kChunk<M>; i += kBatch) {
      for (std::size_t k = 0; k < kBatch; ++k) batch[k].set(first + k * kStep);
      going = push_some<M, kBatch>(end, batch, patience);
      if (!going) break;
      first += kBatch * kStep;
      sent += kBatch;
    }
  }
  if (going) {
    std::array<M, 1> mark;
    mark[0].set(kEndMark);
    (void)push_some<M, 1>(end, mark, patience);
  }
  flush(end);
  point.sent_and_one.publish(sent + 1);
}

// Judges one message; false at the end of the stream.
template <typename M>
[[nodiscard]] inline bool take(StreamJudge& judge, const M& message) {
  if (message.is(judge.expected_first())) [[likely]] {
    judge.accept();
    return true;
  }
  const std::uint64_t first = message.first();
  if (first == kEndMark) return false;
  judge.judge(first, message.is(first));
  return true;
}

// Takes up to `chunk` messages; false when the stream has ended, or will not go on.
template <typename M, std::size_t kBatch, typename End>
bool take_chunk(End& end, StreamJudge& judge, Patience& patience) {
  std::array<M, kBatch> batch;
  for (std::size_t i = 0; i < kChunk<M>; i += kBatch) {
    patience.reset();
    if constexpr (kBatch == 1) {
      while (!end.try_pop(batch[0])) {
        if (!patience.wait()) return false;
      }
      if (!take(judge, batch[0])) return false;
    } else {
      std::size_t count = 0;
      while ((count = end.try_pop_batch(batch.data(), kBatch)) == 0) {
        if (!patience.wait()) return false;
      }
      for (std::size_t k = 0; k < count; ++k) {
        if (!take(judge, batch[k])) return false;
      }
    }
  }
  return true;
}

template <typename M, std::size_t kBatch, typename Channel>
void receive_stream(Channel& channel, MeetingPoint& point, std::uint64_t duration_ns,
                    StreamOutcome& outcome) {
  auto end = channel.consumer();
  StreamJudge judge;
  start_together(point, 2);
  const std::uint64_t start_ns = monotonic_ns();
  Patience patience(point, start_ns + duration_ns + kStallNs, false);
  // The first fifth warms caches and branch predictors, and is not counted.
  std::uint64_t begin_ns = 0;
  std::uint64_t begin_count = 0;
  while (take_chunk<M, kBatch>(end, judge, patience)) {
    if (begin_ns != 0) continue;
    const std::uint64_t now_ns = monotonic_ns();
    if (now_ns - start_ns < duration_ns / 5) continue;
    begin_ns = now_ns;
    begin_count = judge.received();
  }
  const std::uint64_t end_ns = monotonic_ns();
  outcome.stalled = patience.has_timed_out() ? 1 : 0;
  if (outcome.stalled != 0) point.gave_up.publish(1);
  // What overtook the mark, or was lost: listen until all has come or nothing comes any more.
  M message;
  while (point.sent_and_one.look() == 0 && point.gave_up.look() == 0) relax();
  while (judge.received() + 1 < point.sent_and_one.look()) {
    patience.reset();
    bool there = false;
    if constexpr (!Channel::kPopBlocks) {
      while (!(there = end.try_pop(message)) && patience.wait()) {
      }
    }
    if (!there || !take(judge, message)) break;
  }
  const Faults faults = judge.faults(0);
  outcome.received = judge.received();
  outcome.reordered = faults.reordered;
  outcome.torn = faults.torn;
  if (begin_ns == 0 || end_ns <= begin_ns) return;
  const auto counted = static_cast<double>(judge.received() - begin_count);
  outcome.messages_per_second = counted * 1e9 / static_cast<double>(end_ns - begin_ns);
}

template <typename Channel, typename M, std::size_t kBatch, Sides kSides>
CellResult run_stream(const CellSettings& settings) {
  Arena arena(kArenaBytes);
  auto& point = arena.make<MeetingPoint>();
  auto& outcome = arena.make<StreamOutcome>();
  auto& channel = arena.make<Channel>(arena);
  run_sides(
      kSides, settings, [&] { send_stream<M, kBatch>(channel, point, settings.duration_ns); },
      [&] { receive_stream<M, kBatch>(channel, point, settings.duration_ns, outcome); });
  CellResult result;
  result.value = outcome.stalled != 0 ? 0 : outcome.messages_per_second;
  result.stalled = outcome.stalled != 0;
  result.message_count = outcome.received;
  const std::uint64_t sent = point.sent_and_one.look() - 1;
  // What a consumer that gave up has left in the ring is not lost.
  const bool is_short = !result.stalled && sent > outcome.received;
  result.faults = {is_short ? sent - outcome.received : 0, outcome.reordered, outcome.torn};
  return result;
}

}  // namespace slipring::bench

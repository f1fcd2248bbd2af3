// Records of one size through a contender that carries bytes.
//
// A carrier is constructible from an Arena and a record size; its producer has
// try_send(size_bytes, fill) with fill(std::span<std::byte>), its consumer try_receive(look) with
// look(std::span<const std::byte>).  Contenders that work in place hand out their own memory, the
// others a buffer that they copy: everybody writes every word, and checks every word.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tools/bench/arena.h"
#include "tools/bench/cell.h"
#include "tools/bench/message.h"
#include "tools/bench/sides.h"
#include "tools/bench/stream_loop.h"

namespace slipring::bench {

inline constexpr std::size_t kRecordRingBytes = 1U << 20;
inline constexpr std::size_t kRecordBytesMax = 65536;

[[nodiscard]] constexpr std::size_t record_chunk(std::size_t size_bytes) noexcept {
  return size_bytes >= 32768 ? 8 : size_bytes >= 256 ? 262144 / size_bytes : 1024;
}

template <typename Carrier>
void send_records(Carrier& carrier, std::size_t size_bytes, MeetingPoint& point,
                  std::uint64_t duration_ns) {
  auto end = carrier.producer();
  start_together(point, 2);
  const std::uint64_t until_ns = monotonic_ns() + duration_ns;
  Patience patience(point, until_ns + kStallNs, false);
  std::uint64_t first = first_word(0);
  std::uint64_t sent = 0;
  const auto push = [&](std::uint64_t word) {
    patience.reset();
    while (!end.try_send(size_bytes, [&](std::span<std::byte> at) { set_bytes(at, word); })) {
      if (!patience.wait()) return false;
    }
    return true;
  };
  bool going = true;
  while (going && monotonic_ns() < until_ns) {
    for (std::size_t i = 0; going && i < record_chunk(size_bytes); ++i) {
      going = push(first);
      if (!going) break;
      first += kStep;
      ++sent;
    }
  }
  if (going) (void)push(kEndMark);
  flush(end);
  point.sent_and_one.publish(sent + 1);
}

// Judges one record; false at the end of the stream.
[[nodiscard]] inline bool take_record(StreamJudge& judge, std::span<const std::byte> bytes,
                                      std::size_t size_bytes) {
  if (bytes.size() == size_bytes && bytes_are(bytes, judge.expected_first())) [[likely]] {
    judge.accept();
    return true;
  }
  if (bytes.size() < 8) {
    judge.judge(0, false);
    return true;
  }
  const std::uint64_t first = first_of(bytes);
  if (first == kEndMark) return false;
  judge.judge(first, bytes.size() == size_bytes && bytes_are(bytes, first));
  return true;
}

template <typename Carrier>
void receive_records(Carrier& carrier, std::size_t size_bytes, MeetingPoint& point,
                     std::uint64_t duration_ns, StreamOutcome& outcome) {
  auto end = carrier.consumer();
  StreamJudge judge;
  start_together(point, 2);
  const std::uint64_t start_ns = monotonic_ns();
  Patience patience(point, start_ns + duration_ns + kStallNs, false);
  std::uint64_t begin_ns = 0;
  std::uint64_t begin_count = 0;
  bool going = true;
  bool is_end = false;
  const auto look = [&](std::span<const std::byte> at) {
    is_end = !take_record(judge, at, size_bytes);
  };
  while (going) {
    for (std::size_t i = 0; going && i < record_chunk(size_bytes); ++i) {
      patience.reset();
      while (going && !end.try_receive(look)) going = patience.wait();
      going = going && !is_end;
    }
    const std::uint64_t now_ns = monotonic_ns();
    if (!going || begin_ns != 0 || now_ns - start_ns < duration_ns / 5) continue;
    begin_ns = now_ns;
    begin_count = judge.received();
  }
  const std::uint64_t end_ns = monotonic_ns();
  outcome.stalled = patience.has_timed_out() ? 1 : 0;
  if (outcome.stalled != 0) point.gave_up.publish(1);
  const Faults faults = judge.faults(0);
  outcome.received = judge.received();
  outcome.reordered = faults.reordered;
  outcome.torn = faults.torn;
  if (begin_ns == 0 || end_ns <= begin_ns) return;
  const auto counted = static_cast<double>(judge.received() - begin_count);
  outcome.messages_per_second = counted * 1e9 / static_cast<double>(end_ns - begin_ns);
}

template <typename Carrier, std::size_t kSizeBytes, Sides kSides>
CellResult run_records(const CellSettings& settings) {
  Arena arena(kArenaBytes);
  auto& point = arena.make<MeetingPoint>();
  auto& outcome = arena.make<StreamOutcome>();
  auto& carrier = arena.make<Carrier>(arena, kSizeBytes);
  run_sides(
      kSides, settings, [&] { send_records(carrier, kSizeBytes, point, settings.duration_ns); },
      [&] { receive_records(carrier, kSizeBytes, point, settings.duration_ns, outcome); });
  CellResult result;
  result.stalled = outcome.stalled != 0;
  result.value = result.stalled ? 0 : outcome.messages_per_second * static_cast<double>(kSizeBytes);
  result.message_count = outcome.received;
  const std::uint64_t sent = point.sent_and_one.look() - 1;
  // What a consumer that gave up has left in the ring is not lost.
  const bool is_short = !result.stalled && sent > outcome.received;
  result.faults = {is_short ? sent - outcome.received : 0, outcome.reordered, outcome.torn};
  return result;
}

// One carrier at every size.
template <typename Carrier, Sides kSides = Sides::kThreads>
void add_records(Registry& registry, const Contender& contender, std::size_t size_max = 65536) {
  registry.add("record16", contender, run_records<Carrier, 16, kSides>);
  registry.add("record64", contender, run_records<Carrier, 64, kSides>);
  registry.add("record256", contender, run_records<Carrier, 256, kSides>);
  registry.add("record1k", contender, run_records<Carrier, 1024, kSides>);
  registry.add("record4k", contender, run_records<Carrier, 4096, kSides>);
  if (size_max < 65536) return;
  registry.add("record64k", contender, run_records<Carrier, 65536, kSides>);
}

}  // namespace slipring::bench

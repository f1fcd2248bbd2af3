// What the render stage tells about itself, on its board.
#pragma once

#include <cstdint>

#include "pipelines/settop/render/recent_percentiles.h"
#include "pipelines/stage/stage.h"
#include "platform/wait/clock.h"

namespace slipring::settop {

// Counters go on where a predecessor stopped.  One thread.
struct RenderNumbers {
  explicit RenderNumbers(Stage& stage)
      : frames_shown(stage.counter("frames_shown")),
        frames_late(stage.counter("frames_late")),
        sound_blocks_played(stage.counter("sound_blocks_played")),
        frames_aborted(stage.counter("frames_aborted")),
        frames_outdated(stage.counter("frames_outdated")),
        frames_invalid(stage.counter("frames_invalid")),
        frames_corrupt(stage.counter("frames_corrupt")),
        stamp_jumps(stage.counter("time_stamp_jumps")),
        output_errors(stage.counter("output_errors")),
        snapshots_written(stage.counter("snapshots_written")),
        latency_us_p50(stage.gauge("latency_us_p50")),
        latency_us_p99(stage.gauge("latency_us_p99")),
        program_number(stage.gauge("program_number")),
        channel_changes(stage.counter("channel_changes")),
        change_to_picture_us(stage.gauge("change_to_picture_us")),
        change_queued_us(stage.gauge("change_queued_us")) {}

  // A picture is on the screen whose data arrived at origin_ns (0: unknown).
  void note_latency(std::uint64_t origin_ns, std::uint64_t now_ns) {
    if (origin_ns == 0 || origin_ns > now_ns) return;
    latencies_us.add((now_ns - origin_ns) / 1000);
    if (now_ns - latency_told_ns < kLatencyIntervalNs) return;
    latency_told_ns = now_ns;
    latency_us_p50.set(latencies_us.at(50));
    latency_us_p99.set(latencies_us.at(99));
  }

  Board::Number frames_shown;
  Board::Number frames_late;
  Board::Number sound_blocks_played;
  Board::Number frames_aborted;   // of a programme that was left, dropped by the decoder's word
  Board::Number frames_outdated;  // of a programme that was left, recognised by their record
  Board::Number frames_invalid;
  Board::Number frames_corrupt;  // shown, with damage that the decoder concealed
  Board::Number stamp_jumps;
  Board::Number output_errors;
  Board::Number snapshots_written;
  Board::Number latency_us_p50;
  Board::Number latency_us_p99;
  Board::Number program_number;
  Board::Number channel_changes;
  Board::Number change_to_picture_us;  // from the last command to the first picture
  Board::Number change_queued_us;      // of the old programme, dropped by it

 private:
  static constexpr std::uint64_t kLatencyIntervalNs = 250'000'000;

  RecentPercentiles latencies_us;
  std::uint64_t latency_told_ns = 0;
};

}  // namespace slipring::settop

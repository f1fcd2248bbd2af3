// The two sides of a measurement: threads of this process or a process of its own, each on its
// processor, begun together.
#pragma once

#include <cstdint>
#include <functional>

#include "core/cpu/relax.h"
#include "platform/wait/clock.h"
#include "tools/bench/cell.h"
#include "tools/bench/shared_word.h"

namespace slipring::bench {

// Where the sides meet; lies in the arena.
struct MeetingPoint {
  SharedWord arrived;       // how many sides stand at the start
  SharedWord sent_and_one;  // by the producing side at its end: messages sent, and 1
  SharedWord gave_up;       // either side: the other one need not go on
};

enum class Sides : std::uint8_t { kThreads, kProcesses };

// Failing to pin is no error: the figures say how near the processors were.
void pin_to(std::uint32_t cpu) noexcept;
// Back to both.
void pin_to_both(const CellSettings& settings) noexcept;

// Waits until `count` sides have arrived.
inline void start_together(MeetingPoint& point, std::uint64_t count) noexcept {
  point.arrived.add(1);
  while (point.arrived.look() < count) relax();
}

// Runs `here` on this thread and `there` on the other processor; returns when both have ended. What
// `there` answers must lie in the arena.
void run_sides(Sides sides, const CellSettings& settings, const std::function<void()>& here,
               const std::function<void()>& there);

// Waiting for the other side, in a loop around a try: pauses, now and then gives the processor away
// when more sides than processors run, and notices when nothing will come any more.
class Patience {
 public:
  Patience(const MeetingPoint& point, std::uint64_t deadline_ns, bool oversubscribed) noexcept
      : point_(&point), deadline_ns_(deadline_ns), oversubscribed_(oversubscribed) {}

  void reset() noexcept { tries_ = 0; }
  // False when the wait is pointless.
  [[nodiscard]] bool wait() noexcept {
    relax();
    ++tries_;
    if (oversubscribed_ && tries_ % 16 == 0) yield();
    return tries_ % 4096 != 0 || is_worth_waiting();
  }
  [[nodiscard]] bool has_timed_out() const noexcept { return timed_out_; }

 private:
  static void yield() noexcept;
  [[nodiscard]] bool is_worth_waiting() noexcept;

  const MeetingPoint* point_;
  std::uint64_t deadline_ns_;
  std::uint64_t quiet_since_ns_ = 0;
  std::uint32_t tries_ = 0;
  bool oversubscribed_;
  bool timed_out_ = false;
};

}  // namespace slipring::bench

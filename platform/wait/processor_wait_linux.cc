#include "platform/wait/processor_wait.h"

#include <sys/auxv.h>

#include <algorithm>

#include "core/cpu/relax.h"
#include "platform/wait/clock.h"

namespace slipring {

namespace {

// The counter of every processor that has such an instruction makes a tick a nanosecond or more, so
// that a wait of as many ticks as nanoseconds is never too long; then the clock is asked again.
constexpr std::uint32_t kTicksMax = 50'000;
constexpr std::uint32_t kPausesPerClockRead = 16;

// A wait that an interrupt cut short is tried again; one that never lasts is a no-op.
constexpr int kTrials = 4;
constexpr std::uint64_t kTrialLastsNs = 4'000;

bool is_seen_to_wait(LineWait kind) noexcept {
  alignas(128) std::atomic<std::uint64_t> quiet{0};
  for (int trial = 0; trial < kTrials; ++trial) {
    const std::uint64_t start_ns = monotonic_ns();
    wait_on_line(kind, quiet, std::uint64_t{0}, kTicksMax);
    if (monotonic_ns() - start_ns >= kTrialLastsNs) return true;
  }
  return false;
}

template <typename Word>
bool has_changed(const std::atomic<Word>& word, Word old) noexcept {
  // relaxed: it decides only when the caller looks again.
  return word.load(std::memory_order_relaxed) != old;
}

template <typename Word>
bool wait_for_change(const std::atomic<Word>& word, Word old, std::uint64_t max_ns) noexcept {
  if (has_changed(word, old)) return true;
  const LineWait kind = usable_line_wait();
  const std::uint64_t deadline_ns = deadline_after(max_ns);
  for (;;) {
    const std::uint64_t now_ns = monotonic_ns();
    if (now_ns >= deadline_ns) return has_changed(word, old);
    if (kind == LineWait::kNone) {
      for (std::uint32_t i = 0; i < kPausesPerClockRead; ++i) {
        relax();
        if (has_changed(word, old)) return true;
      }
    } else {
      const std::uint64_t ticks = std::min<std::uint64_t>(deadline_ns - now_ns, kTicksMax);
      wait_on_line(kind, word, old, static_cast<std::uint32_t>(ticks));
      if (has_changed(word, old)) return true;
    }
  }
}

}  // namespace

LineWait offered_line_wait() noexcept {
  return line_wait_offered(::getauxval(AT_HWCAP), ::getauxval(AT_HWCAP2));
}

LineWait usable_line_wait() noexcept {
  static const LineWait usable = [] {
    const LineWait offered = offered_line_wait();
    return offered != LineWait::kNone && is_seen_to_wait(offered) ? offered : LineWait::kNone;
  }();
  return usable;
}

const char* name_of(LineWait kind) noexcept {
  switch (kind) {
    case LineWait::kNone:
      return "pause";
    case LineWait::kUmwait:
      return "umwait";
    case LineWait::kMwaitx:
      return "mwaitx";
    case LineWait::kWfe:
      return "wfe";
    case LineWait::kWfet:
      return "wfet";
  }
  return "?";
}

bool processor_wait(const std::atomic<std::uint32_t>& word, std::uint32_t old,
                    std::uint64_t max_ns) noexcept {
  return wait_for_change(word, old, max_ns);
}

bool processor_wait(const std::atomic<std::uint64_t>& word, std::uint64_t old,
                    std::uint64_t max_ns) noexcept {
  return wait_for_change(word, old, max_ns);
}

}  // namespace slipring

#include "tools/bench/ticks.h"

#include <algorithm>

#include "platform/wait/clock.h"

namespace slipring::bench {
namespace {

constexpr std::uint64_t kCalibrationNs = 5'000'000;

TickRate measure() {
  const std::uint64_t begin_ns = monotonic_ns();
  const std::uint64_t begin_ticks = ticks_now();
  std::uint64_t smallest = UINT64_MAX;
  std::uint64_t last = begin_ticks;
  while (monotonic_ns() - begin_ns < kCalibrationNs) {
    for (int i = 0; i < 64; ++i) {
      const std::uint64_t now = ticks_now();
      if (now > last) smallest = std::min(smallest, now - last);
      last = now;
    }
  }
  const std::uint64_t end_ns = monotonic_ns();
  const std::uint64_t end_ticks = ticks_now();
  TickRate rate;
  rate.ns_per_tick =
      static_cast<double>(end_ns - begin_ns) / static_cast<double>(end_ticks - begin_ticks);
  rate.resolution_ns = static_cast<double>(smallest) * rate.ns_per_tick;
  return rate;
}

}  // namespace

#if !defined(__x86_64__) && !defined(__i386__) && !defined(__aarch64__)
std::uint64_t ticks_now() noexcept {
  return monotonic_ns();
}
#endif

const TickRate& tick_rate() {
  static const TickRate kRate = measure();
  return kRate;
}

std::uint64_t ticks_of_ns(std::uint64_t duration_ns) {
  return static_cast<std::uint64_t>(static_cast<double>(duration_ns) / tick_rate().ns_per_tick);
}

}  // namespace slipring::bench

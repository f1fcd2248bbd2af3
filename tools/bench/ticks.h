// The processor's own clock: cheap enough to stamp single messages.
#pragma once

#include <cstdint>

namespace slipring::bench {

// A free-running count, the same on every processor.  May be read a few instructions early or
// late; x86 and AArch64 only, elsewhere it is CLOCK_MONOTONIC.
#if defined(__x86_64__) || defined(__i386__)
[[nodiscard]] inline std::uint64_t ticks_now() noexcept {
  return __builtin_ia32_rdtsc();
}
#elif defined(__aarch64__)
[[nodiscard]] inline std::uint64_t ticks_now() noexcept {
  std::uint64_t ticks = 0;
  asm volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
}
#else
[[nodiscard]] std::uint64_t ticks_now() noexcept;
#endif

struct TickRate {
  double ns_per_tick = 1;
  double resolution_ns = 1;  // the smallest step that was seen
};

// Compares the ticks with CLOCK_MONOTONIC over 5 ms, once a process.
[[nodiscard]] const TickRate& tick_rate();

[[nodiscard]] std::uint64_t ticks_of_ns(std::uint64_t duration_ns);

}  // namespace slipring::bench

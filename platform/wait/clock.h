// The one clock of waiting: monotonic, of this machine, never set by anybody.
#pragma once

#include <cstdint>

namespace slipring {

inline constexpr std::uint64_t kNoDeadline = UINT64_MAX;

// CLOCK_MONOTONIC in nanoseconds.  No system call on the usual clock sources.
[[nodiscard]] std::uint64_t monotonic_ns() noexcept;

// The deadline `timeout_ns` from now, kNoDeadline if that is beyond the end of time.
[[nodiscard]] inline std::uint64_t deadline_after(std::uint64_t timeout_ns) noexcept {
  const std::uint64_t now_ns = monotonic_ns();
  return timeout_ns >= kNoDeadline - now_ns ? kNoDeadline : now_ns + timeout_ns;
}

// Sleeps for so long, at most a second, or until a signal is handled.
void pause_for(std::uint64_t duration_ns) noexcept;

}  // namespace slipring

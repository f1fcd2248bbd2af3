#include "platform/wait/clock.h"

#include <time.h>

#include "core/error/check.h"

namespace slipring {

std::uint64_t monotonic_ns() noexcept {
  struct timespec now = {};
  check(::clock_gettime(CLOCK_MONOTONIC, &now) == 0, "CLOCK_MONOTONIC exists everywhere");
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(now.tv_nsec);
}

void pause_for(std::uint64_t duration_ns) noexcept {
  check(duration_ns <= 1'000'000'000, "a pause longer than a second");
  const timespec duration{static_cast<time_t>(duration_ns / 1'000'000'000),
                          static_cast<long>(duration_ns % 1'000'000'000)};
  static_cast<void>(nanosleep(&duration, nullptr));
}

}  // namespace slipring

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

}  // namespace slipring

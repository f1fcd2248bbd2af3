// Stops the process on a bug of our own.  Never used on anything that a peer can write.
#pragma once

namespace slipring {

// Called by check() before it traps, so that a hosted program can say why; core itself prints
// nothing.  Set it before other threads start.
using CheckFailedHandler = void (*)(const char* why, const char* file, int line) noexcept;
inline CheckFailedHandler check_failed_handler = nullptr;

// Requires: `why` states the invariant in words.  Active in every build.
constexpr void check(bool holds, const char* why, const char* file = __builtin_FILE(),
                     int line = __builtin_LINE()) noexcept {
  if (holds) [[likely]]
    return;
  if (check_failed_handler != nullptr) check_failed_handler(why, file, line);
  __builtin_trap();
}

}  // namespace slipring

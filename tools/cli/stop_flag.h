// SIGINT, SIGTERM and SIGHUP as a flag: what was begun is left tidily, and then the signal has its
// way, so that a shell sees what it expects.
#pragma once

#include <atomic>

namespace slipring::tools {

// From now on the first of these signals sets the flag; a second one ends the program at once.
// One call a program.
[[nodiscard]] const std::atomic<bool>& heed_stop_signals() noexcept;

// Ends the program by the signal that set the flag; returns if there was none.
void die_of_stop_signal() noexcept;

}  // namespace slipring::tools

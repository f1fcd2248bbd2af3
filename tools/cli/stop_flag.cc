#include "tools/cli/stop_flag.h"

#include <signal.h>

namespace slipring::tools {
namespace {

std::atomic<bool> stop_requested{false};
std::atomic<int> stop_signal{0};
static_assert(std::atomic<bool>::is_always_lock_free, "set by a signal handler");

void note(int signal_number) noexcept {
  // relaxed, both: the thread that looks is the one that was interrupted.
  stop_signal.store(signal_number, std::memory_order_relaxed);
  stop_requested.store(true, std::memory_order_relaxed);
}

}  // namespace

const std::atomic<bool>& heed_stop_signals() noexcept {
  struct sigaction action {};
  action.sa_handler = note;
  action.sa_flags =
      static_cast<int>(SA_RESETHAND);  // no SA_RESTART: whatever sleeps wakes and looks
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    // nohup: what is ignored stays ignored.
    if (sigaction(number, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) {
      sigaction(number, &action, nullptr);
    }
  }
  return stop_requested;
}

void die_of_stop_signal() noexcept {
  const int number = stop_signal.load(std::memory_order_relaxed);  // relaxed: as note()
  if (number == 0) return;
  signal(number, SIG_DFL);
  raise(number);
}

}  // namespace slipring::tools

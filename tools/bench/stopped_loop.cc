#include "tools/bench/stopped_loop.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "platform/wait/futex.h"
#include "tools/bench/runner.h"

namespace slipring::bench {
namespace {

constexpr std::uint64_t kWindowNs = 3'000'000;
constexpr std::uint64_t kStillNs = 40'000'000;
constexpr std::uint32_t kBaselineCount = 12;

// Of the handler; lock-free, so that it may touch them.
std::atomic<std::uint32_t> wanted_stopped{0};
std::atomic<int> is_stopped{0};

void nap(std::uint64_t duration_ns) {
  timespec left{0, static_cast<long>(duration_ns)};
  while (nanosleep(&left, &left) != 0) {
  }
}

void stop_here(int) {
  // relaxed, all: requests and answers, nothing travels with them.
  is_stopped.store(1, std::memory_order_relaxed);
  // Asleep, so that it takes nothing from those beside it.
  while (wanted_stopped.load(std::memory_order_relaxed) != 0) {  // relaxed: as above
    (void)futex_wait(wanted_stopped, 1, kNoDeadline);
  }
  is_stopped.store(0, std::memory_order_relaxed);  // relaxed: as above
}

// Messages a second over one window.
double rate_of(const ManyTotals& totals) {
  const std::uint64_t begin_ns = monotonic_ns();
  const std::uint64_t begin = totals.received[0].look();
  nap(kWindowNs);
  const std::uint64_t count = totals.received[0].look() - begin;
  return static_cast<double>(count) * 1e9 / static_cast<double>(monotonic_ns() - begin_ns);
}

// Nothing at all comes for longer than the kernel keeps anybody off a processor.
bool stands_still(const ManyTotals& totals) {
  const std::uint64_t before = totals.received[0].look();
  nap(kStillNs);
  return totals.received[0].look() == before;
}

void await(const std::atomic<int>& word, int value) {
  while (word.load(std::memory_order_relaxed) != value) nap(20'000);  // relaxed: as above
}

}  // namespace

StopSummary stop_many_times(ManyTotals& totals, const std::function<void()>& victim) {
  struct sigaction action {};
  action.sa_handler = stop_here;
  sigaction(SIGUSR1, &action, nullptr);
  nap(kWindowNs);
  std::vector<double> before;
  for (std::uint32_t i = 0; i < kBaselineCount; ++i) before.push_back(rate_of(totals));
  const double baseline = summarise(before).median;
  std::thread thread(victim);
  std::vector<double> beside;
  StopSummary summary;
  for (std::uint32_t i = 0; i < kStopCount; ++i) {
    // Some of its time slices from now, anywhere in its loop.
    nap(500'000 + i * 137'911 % 1'000'000);
    wanted_stopped.store(1, std::memory_order_relaxed);  // relaxed: as above
    pthread_kill(thread.native_handle(), SIGUSR1);
    await(is_stopped, 1);
    nap(300'000);  // what was under way runs dry
    const double rate = rate_of(totals);
    beside.push_back(rate);
    if (rate < baseline / 1000 && stands_still(totals)) ++summary.stalled_stops;
    wanted_stopped.store(0, std::memory_order_relaxed);  // relaxed: as above
    futex_wake(wanted_stopped, 1);
    await(is_stopped, 0);
  }
  totals.stop.publish(1);
  thread.join();
  summary.ratio = baseline > 0 ? summarise(beside).median / baseline : 0;
  return summary;
}

}  // namespace slipring::bench

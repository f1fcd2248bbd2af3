#include "platform/wait/waiter.h"

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/cpu/relax.h"
#include "core/error/check.h"
#include "platform/process/affinity.h"
#include "platform/wait/futex.h"
#include "platform/wait/membarrier.h"

namespace slipring {

static_assert(kWaitPointCountMax <= kFutexWordCountMax);

namespace {

constexpr std::uint32_t kSpinBudgetMin = 16;
// A sleep shorter than this would have been shorter still as a spin.
constexpr std::uint64_t kWorthSpinningNs = 50'000;
// The bound of a sleep that no bell, or not every bell, can end.
constexpr std::uint64_t kBlindSleepNs = 1'000'000;
// Reading the clock costs about as much as a pause.
constexpr std::uint32_t kSpinsPerClockRead = 64;
// Gives an oversubscribed machine's other threads a chance against a poller.
constexpr std::uint32_t kPollsPerYield = 4096;

std::uint64_t sum_or_never(std::uint64_t time_ns, std::uint64_t more_ns) noexcept {
  return more_ns >= kNoDeadline - time_ns ? kNoDeadline : time_ns + more_ns;
}

void nap_until(std::uint64_t deadline_ns) noexcept {
  struct timespec until = {};
  until.tv_sec = static_cast<time_t>(deadline_ns / 1'000'000'000u);
  until.tv_nsec = static_cast<long>(deadline_ns % 1'000'000'000u);
  const int failed = ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
  check(failed == 0 || failed == EINTR, "a nap until a valid time");
}

// A new odd value, also where a predecessor died armed.
void arm(std::atomic<std::uint32_t>& armed) noexcept {
  // relaxed, both: nobody else writes it, and the fence of doorbell.B follows the store.
  const std::uint32_t value = armed.load(std::memory_order_relaxed);
  armed.store(value + 1 + (value & 1u), std::memory_order_relaxed);
}

// Puts the arming before the look that follows.  Returns false if a waker relies on a membarrier
// that this process cannot have: then only a short sleep is safe.
bool order_arming(std::span<const WaitPoint> points) noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);  // doorbell.B pairs with doorbell.D and .E
  for (const WaitPoint& point : points) {
    // relaxed: the fence above orders it after the arming, as doorbell.E wants.
    if (point.waker_registered->load(std::memory_order_relaxed) != 0) {
      return membarrier_all_registered();
    }
  }
  return true;
}

FutexAnswer sleep_on(std::span<const FutexWord> words, std::uint64_t until_ns) noexcept {
  if (words.empty()) {
    nap_until(until_ns);
    return FutexAnswer::kTimedOut;
  }
  if (words.size() == 1) return futex_wait(*words[0].word, words[0].expected, until_ns);
  if (futex_wait_any_is_available()) return futex_wait_any(words, until_ns);
  // Before Linux 5.16 one bell is slept on; the bound of a blind sleep limits the others' delay.
  return futex_wait(*words[0].word, words[0].expected, until_ns);
}

}  // namespace

Waiter::Waiter(const WaiterOptions& options) noexcept
    : options_(options),
      spin_budget_(std::min(options.spin_count_max, 8 * kSpinBudgetMin)),
      alone_(allowed_cpu_count() == 1) {}

WaitOutcome Waiter::wait_slow(std::span<const WaitPoint> points, ReadyRef ready,
                              std::uint64_t deadline_ns) noexcept {
  check(points.size() <= kWaitPointCountMax, "a waiter has at most 128 points");
  if (options_.strategy == WaitStrategy::kPoll) return poll(ready, deadline_ns);
  const std::uint64_t start_ns = monotonic_ns();
  if (start_ns >= deadline_ns) return ready() ? WaitOutcome::kReady : WaitOutcome::kDeadline;
  const bool spins = options_.strategy == WaitStrategy::kAdaptive;
  if (spins && spin(ready, deadline_ns)) return WaitOutcome::kReady;

  const std::uint64_t slept_from_ns = spins ? monotonic_ns() : start_ns;
  for (;;) {
    const bool found = sleep_once(points, ready, deadline_ns);
    const std::uint64_t now_ns = monotonic_ns();
    if (found) {
      if (spins) learn(now_ns - slept_from_ns);
      return WaitOutcome::kReady;
    }
    if (now_ns >= deadline_ns) return ready() ? WaitOutcome::kReady : WaitOutcome::kDeadline;
  }
}

WaitOutcome Waiter::poll(ReadyRef ready, std::uint64_t deadline_ns) noexcept {
  for (std::uint32_t turn = 1;; ++turn) {
    ++counts_.spins;
    if (ready()) return WaitOutcome::kReady;
    if (alone_ || turn % kPollsPerYield == 0) {
      ::sched_yield();
    } else {
      relax();
    }
    if ((alone_ || turn % kSpinsPerClockRead == 0) && monotonic_ns() >= deadline_ns) {
      return ready() ? WaitOutcome::kReady : WaitOutcome::kDeadline;
    }
  }
}

bool Waiter::spin(ReadyRef ready, std::uint64_t deadline_ns) noexcept {
  if (alone_) return false;
  for (std::uint32_t turn = 1; turn <= spin_budget_; ++turn) {
    relax();
    ++counts_.spins;
    if (ready()) {
      // Towards twice of what was needed, by an eighth of the way.
      const std::int64_t target =
          std::min<std::int64_t>(2 * std::int64_t{turn} + kSpinBudgetMin, options_.spin_count_max);
      const std::int64_t budget = std::int64_t{spin_budget_};
      spin_budget_ = static_cast<std::uint32_t>(budget + (target - budget) / 8);
      return true;
    }
    if (turn % kSpinsPerClockRead == 0 && monotonic_ns() >= deadline_ns) return false;
  }
  for (std::uint32_t turn = 0; turn < options_.yield_count; ++turn) {
    ::sched_yield();
    ++counts_.spins;
    if (ready()) return true;
  }
  return false;
}

void Waiter::learn(std::uint64_t slept_ns) noexcept {
  if (slept_ns < kWorthSpinningNs) {
    spin_budget_ = std::min(2 * spin_budget_ + kSpinBudgetMin, options_.spin_count_max);
  } else {
    spin_budget_ = std::min(std::max(spin_budget_ / 2, kSpinBudgetMin), options_.spin_count_max);
  }
}

bool Waiter::sleep_once(std::span<const WaitPoint> points, ReadyRef ready,
                        std::uint64_t deadline_ns) noexcept {
  std::array<FutexWord, kWaitPointCountMax> words;
  for (std::size_t i = 0; i < points.size(); ++i) {
    // Before arming: the ring for this arming must differ from what is slept on.
    words[i] = {points[i].bell,
                points[i].bell->load(std::memory_order_acquire)};  // doorbell.A pairs with .C
    arm(*points[i].armed);
  }
  const bool ordered = order_arming(points);
  bool found = ready();
  if (!found) {
    const bool blind =
        !ordered || points.empty() || (points.size() > 1 && !futex_wait_any_is_available());
    const std::uint64_t bound_ns =
        blind ? std::min(kBlindSleepNs, options_.sleep_bound_ns) : options_.sleep_bound_ns;
    const std::uint64_t until_ns = sum_or_never(monotonic_ns(), bound_ns);
    ++counts_.sleeps;
    const FutexAnswer answer =
        sleep_on({words.data(), points.size()}, std::min(until_ns, deadline_ns));
    found = ready();
    if (answer == FutexAnswer::kTimedOut && until_ns < deadline_ns) {
      ++counts_.bound_expiries;
      // A blind sleep finds things by its bound as a matter of course.
      if (found && !blind) ++counts_.late_finds;
    }
  }
  for (const WaitPoint& point : points) disarm(*point.armed);
  return found;
}

}  // namespace slipring

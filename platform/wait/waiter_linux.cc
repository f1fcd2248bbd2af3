#include "platform/wait/waiter.h"

#include <poll.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/cpu/relax.h"
#include "core/error/check.h"
#include "platform/process/affinity.h"
#include "platform/wait/futex.h"
#include "platform/wait/processor_wait.h"

namespace slipring {

namespace {

// Blind sleeps of a wait before it takes longer ones.
constexpr std::uint32_t kShortBlindSleeps = 64;
// Reading the clock costs about as much as a pause.
constexpr std::uint32_t kSpinsPerClockRead = 64;
// A microsecond or so: whoever is on this processor does not wait longer for it.
constexpr std::uint32_t kLooksPerLingeringYield = 20;
// Gives an oversubscribed machine's other threads a chance against a poller.
constexpr std::uint32_t kPollsPerYield = 4096;
// A poller's looks at its descriptors cost a system call.
constexpr std::uint32_t kPollsPerDescriptorLook = 256;
// A wait in the processor ends at least this often for a look: the word named may be the wrong one.
constexpr std::uint64_t kProcessorWaitSliceNs = 10'000;

std::uint64_t sum_or_never(std::uint64_t time_ns, std::uint64_t more_ns) noexcept {
  return more_ns >= kNoDeadline - time_ns ? kNoDeadline : time_ns + more_ns;
}

struct timespec to_timespec(std::uint64_t time_ns) noexcept {
  struct timespec spec = {};
  // No farther than a 32-bit time_t reaches; a wait that ends there looks and sleeps on.
  spec.tv_sec = static_cast<time_t>(std::min<std::uint64_t>(time_ns / 1'000'000'000u, INT32_MAX));
  spec.tv_nsec = static_cast<long>(time_ns % 1'000'000'000u);
  return spec;
}

void nap_until(std::uint64_t deadline_ns) noexcept {
  const struct timespec until = to_timespec(deadline_ns);
  const int failed = ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
  check(failed == 0 || failed == EINTR, "a nap until a valid time");
}

bool sleeps_in_poll(const WaitAids& aids) noexcept {
  return aids.event != nullptr || !aids.descriptors.empty();
}

// Where the kernel refuses to poll them together: a look at each alone, which takes no memory, and
// a short nap before the next.  How many are ready.
int poll_each(struct pollfd* polled, nfds_t count, std::uint64_t now_ns,
              std::uint64_t until_ns) noexcept {
  int ready_count = 0;
  const struct timespec at_once = {};
  for (nfds_t i = 0; i < count; ++i) {
    if (::ppoll(polled + i, 1, &at_once, nullptr) > 0) ++ready_count;
  }
  const bool may_nap = ready_count == 0 && until_ns > now_ns;
  if (may_nap) nap_until(std::min(until_ns, sum_or_never(now_ns, kBlindSleepNs)));
  return ready_count;
}

// Sleeps until a descriptor or the event is ready, or until `until_ns` (0: only looks).
FutexAnswer poll_until(const WaitAids& aids, std::uint64_t until_ns) noexcept {
  std::array<struct pollfd, kWaitDescriptorCountMax + 1> polled;
  nfds_t count = 0;
  for (const WaitDescriptor& descriptor : aids.descriptors) {
    const int wanted =
        (descriptor.wants_read ? POLLIN : 0) | (descriptor.wants_write ? POLLOUT : 0);
    polled[count++] = {descriptor.fd, static_cast<short>(wanted), 0};
  }
  if (aids.event != nullptr) polled[count++] = {aids.event->fd(), POLLIN, 0};
  const std::uint64_t now_ns = until_ns == 0 ? 0 : monotonic_ns();
  const struct timespec duration = to_timespec(until_ns > now_ns ? until_ns - now_ns : 0);
  int ready_count = ::ppoll(polled.data(), count, &duration, nullptr);
  if (ready_count < 0) {
    if (errno == EINTR) return FutexAnswer::kInterrupted;
    // EINVAL: more descriptors than RLIMIT_NOFILE, which may have been lowered since.
    check(errno == ENOMEM || errno == EINVAL, "poll of valid arguments");
    ready_count = poll_each(polled.data(), count, now_ns, until_ns);
    if (ready_count == 0) return FutexAnswer::kInterrupted;  // not the sleep that was asked for
  }
  for (std::size_t i = 0; i < aids.descriptors.size(); ++i) {
    check((polled[i].revents & POLLNVAL) == 0, "a wait on a descriptor that is not open");
    aids.descriptors[i].is_ready = polled[i].revents != 0;
  }
  return ready_count > 0 ? FutexAnswer::kWoken : FutexAnswer::kTimedOut;
}

bool is_any_ready(const WaitAids& aids) noexcept {
  return std::any_of(aids.descriptors.begin(), aids.descriptors.end(),
                     [](const WaitDescriptor& descriptor) { return descriptor.is_ready; });
}

WaitOutcome last_look(const WaitAids& aids, bool is_ready) noexcept {
  if (is_ready) return WaitOutcome::kReady;
  if (!aids.descriptors.empty()) poll_until(aids, 0);
  return is_any_ready(aids) ? WaitOutcome::kDescriptor : WaitOutcome::kDeadline;
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
    : options_(options), budget_(options.spin_count_max), shared_(online_cpu_count() == 1) {}

void Waiter::yield() noexcept {
  const std::uint64_t start_ns = monotonic_ns();
  ::sched_yield();
  shared_.yielded_for(monotonic_ns() - start_ns);
}

WaitOutcome Waiter::wait_slow(std::span<const WaitPoint> points, ReadyRef ready,
                              std::uint64_t deadline_ns, const WaitAids& aids) noexcept {
  check(points.size() <= kWaitPointCountMax, "a waiter has at most 128 points");
  check(aids.descriptors.size() <= kWaitDescriptorCountMax, "a wait has at most 64 descriptors");
  for (WaitDescriptor& descriptor : aids.descriptors) descriptor.is_ready = false;
  if (options_.strategy == WaitStrategy::kPoll) return poll(ready, deadline_ns, aids);
  const std::uint64_t start_ns = monotonic_ns();
  if (start_ns >= deadline_ns) return last_look(aids, ready());
  const bool spins = options_.strategy == WaitStrategy::kAdaptive;
  if (spins && climb(ready, deadline_ns, aids)) return WaitOutcome::kReady;
  if (is_any_ready(aids)) return WaitOutcome::kDescriptor;

  for (std::uint32_t sleep_number = 0;; ++sleep_number) {
    const bool found = sleep_once(points, ready, deadline_ns, aids, sleep_number);
    const std::uint64_t now_ns = monotonic_ns();
    if (found) {
      if (spins) budget_.slept(now_ns - start_ns);
      return WaitOutcome::kReady;
    }
    if (is_any_ready(aids)) return WaitOutcome::kDescriptor;
    if (now_ns >= deadline_ns) return last_look(aids, ready());
  }
}

bool Waiter::may_wait_in_processor(const WaitAids& aids) const noexcept {
  if (aids.watched_word == nullptr || shared_.is_wanted()) return false;
  switch (options_.processor_wait) {
    case ProcessorWait::kWhenPresent:
      return usable_line_wait() != LineWait::kNone;
    case ProcessorWait::kAlways:
      return true;
    case ProcessorWait::kNever:
      return false;
  }
  return false;
}

WaitOutcome Waiter::poll(ReadyRef ready, std::uint64_t deadline_ns, const WaitAids& aids) noexcept {
  for (std::uint32_t turn = 1;; ++turn) {
    ++counts_.spins;
    // The first looks are the quickest; a turn in the processor, or given away, is a long one.
    const bool in_processor = turn >= kSpinsPerClockRead && may_wait_in_processor(aids);
    const bool yields = shared_.is_wanted() || turn % kPollsPerYield == 0;
    const bool is_long = in_processor || yields;
    const std::uint64_t old =
        // relaxed: compared only with itself; ready() looks with acquire.
        in_processor ? aids.watched_word->load(std::memory_order_relaxed) : 0;
    if (ready()) return WaitOutcome::kReady;
    if (yields) {
      yield();
    } else if (in_processor) {
      ++counts_.processor_waits;
      processor_wait(*aids.watched_word, old, kProcessorWaitSliceNs);
    } else {
      relax();
    }
    if (!aids.descriptors.empty() && (is_long || turn % kPollsPerDescriptorLook == 0)) {
      poll_until(aids, 0);
      if (is_any_ready(aids)) return last_look(aids, ready());
    }
    if ((is_long || turn % kSpinsPerClockRead == 0) && monotonic_ns() >= deadline_ns) {
      return last_look(aids, ready());
    }
  }
}

// The rungs before sleeping.
bool Waiter::climb(ReadyRef ready, std::uint64_t deadline_ns, const WaitAids& aids) noexcept {
  if (lingers_) return linger(ready, deadline_ns, aids);
  if (!shared_.is_wanted() && spin(ready, deadline_ns)) return true;
  if (may_wait_in_processor(aids) && budget_.is_spinning_worth() &&
      wait_in_processor(ready, deadline_ns, aids)) {
    return true;
  }
  for (std::uint32_t turn = 0; turn < options_.yield_count; ++turn) {
    yield();
    ++counts_.spins;
    if (ready()) return true;
  }
  return false;
}

bool Waiter::linger(ReadyRef ready, std::uint64_t deadline_ns, const WaitAids& aids) noexcept {
  const std::uint64_t from_ns = monotonic_ns();
  const std::uint64_t until_ns =
      std::min(deadline_ns, sum_or_never(from_ns, budget_.begin_lingering_ns()));
  do {
    const std::uint32_t look_count = shared_.is_wanted() ? 1 : kLooksPerLingeringYield;
    for (std::uint32_t turn = 0; turn < look_count; ++turn) {
      relax();
      ++counts_.spins;
      if (!ready()) continue;
      budget_.found_after(monotonic_ns() - from_ns);
      return true;
    }
    yield();
    if (ready()) {
      budget_.found_after(monotonic_ns() - from_ns);
      return true;
    }
    if (!aids.descriptors.empty()) {
      poll_until(aids, 0);
      if (is_any_ready(aids)) return ready();
    }
  } while (monotonic_ns() < until_ns);
  return false;
}

bool Waiter::spin(ReadyRef ready, std::uint64_t deadline_ns) noexcept {
  const std::uint32_t look_count = budget_.begin();
  std::uint64_t from_ns = 0;
  for (std::uint32_t turn = 1; turn <= look_count; ++turn) {
    relax();
    ++counts_.spins;
    if (ready()) {
      budget_.found_at(turn);
      return true;
    }
    if (turn % kSpinsPerClockRead != 0) continue;
    const std::uint64_t now_ns = monotonic_ns();
    if (from_ns != 0) budget_.measured(kSpinsPerClockRead, now_ns - from_ns);
    from_ns = now_ns;
    if (now_ns >= deadline_ns) return false;
  }
  return false;
}

bool Waiter::wait_in_processor(ReadyRef ready, std::uint64_t deadline_ns,
                               const WaitAids& aids) noexcept {
  std::uint64_t now_ns = monotonic_ns();
  const std::uint64_t until_ns =
      std::min(deadline_ns, sum_or_never(now_ns, options_.processor_wait_ns));
  while (now_ns < until_ns) {
    // Before the look: what is stored after it ends the wait.
    // relaxed: compared only with itself; ready() looks with acquire.
    const std::uint64_t old = aids.watched_word->load(std::memory_order_relaxed);
    if (ready()) return true;
    ++counts_.processor_waits;
    processor_wait(*aids.watched_word, old, std::min(until_ns - now_ns, kProcessorWaitSliceNs));
    now_ns = monotonic_ns();
  }
  return ready();
}

bool Waiter::sleep_once(std::span<const WaitPoint> points, ReadyRef ready,
                        std::uint64_t deadline_ns, const WaitAids& aids,
                        std::uint32_t sleep_number) noexcept {
  const bool polls = sleeps_in_poll(aids);
  const Arming arming(points, aids.event);
  if (ready()) return true;
  const bool hears_only_one = !polls && points.size() > 1 && !futex_wait_any_is_available();
  const bool is_deaf = polls && aids.event == nullptr && !points.empty();
  const bool blind = arming.is_blind() || hears_only_one || is_deaf;
  std::uint64_t bound_ns = options_.sleep_bound_ns;
  if (blind) {
    bound_ns =
        std::min(bound_ns, sleep_number < kShortBlindSleeps ? kBlindSleepNs : kLongBlindSleepNs);
  }
  const std::uint64_t until_ns = sum_or_never(monotonic_ns(), bound_ns);
  ++counts_.sleeps;
  const std::uint64_t wake_ns = std::min(until_ns, deadline_ns);
  const FutexAnswer answer = polls ? poll_until(aids, wake_ns) : sleep_on(arming.words(), wake_ns);
  const bool found = ready();
  if (answer == FutexAnswer::kTimedOut && until_ns < deadline_ns) {
    ++counts_.bound_expiries;
    // A blind sleep finds things by its bound as a matter of course.
    if (found && !blind) ++counts_.late_finds;
  }
  return found;
}

}  // namespace slipring

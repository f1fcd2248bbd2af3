#include "platform/wait/waiter.h"

#include <doctest/doctest.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>

#include "platform/process/affinity.h"

namespace slipring {
namespace {

constexpr std::uint64_t kFarNs = 20'000'000'000;

struct Lines {
  BellLine bells{};
  ArmLine arms{};
  WaitPoint point = WaitPoint::of(bells, arms);
};

TEST_CASE("waiter: what is there already is not waited for") {
  Lines lines;
  for (const WaitStrategy strategy :
       {WaitStrategy::kPoll, WaitStrategy::kAdaptive, WaitStrategy::kSleep}) {
    Waiter waiter({.strategy = strategy});
    CHECK(waiter.wait(
              {&lines.point, 1}, [] { return true; }, 0) == WaitOutcome::kReady);
    CHECK(waiter.counts().spins == 0);
    CHECK(waiter.counts().sleeps == 0);
  }
  CHECK(lines.arms.armed.load() == 0);
}

TEST_CASE("waiter: a deadline ends the wait, and not before its time") {
  Lines lines;
  for (const WaitStrategy strategy :
       {WaitStrategy::kPoll, WaitStrategy::kAdaptive, WaitStrategy::kSleep}) {
    Waiter waiter({.strategy = strategy});
    const std::uint64_t deadline_ns = deadline_after(3'000'000);
    CHECK(waiter.wait(
              {&lines.point, 1}, [] { return false; }, deadline_ns) == WaitOutcome::kDeadline);
    CHECK(monotonic_ns() >= deadline_ns);
    CHECK(waiter.wait(
              {&lines.point, 1}, [] { return false; }, 0) == WaitOutcome::kDeadline);
    CHECK((lines.arms.armed.load() & 1u) == 0);
  }
}

TEST_CASE("waiter: a poller never sleeps") {
  Lines lines;
  Waiter waiter({.strategy = WaitStrategy::kPoll});
  int looks = 0;
  CHECK(waiter.wait(
            {&lines.point, 1}, [&] { return ++looks == 10'000; }, kNoDeadline) ==
        WaitOutcome::kReady);
  CHECK(waiter.counts().sleeps == 0);
  CHECK(waiter.counts().spins == 9'999);
}

TEST_CASE("waiter: a sleeper is armed while it looks for the last time") {
  Lines lines;
  Waiter waiter({.strategy = WaitStrategy::kSleep});
  bool armed_at_last_look = false;
  int looks = 0;
  const auto ready = [&] {
    if (++looks < 2) return false;
    armed_at_last_look = (lines.arms.armed.load() & 1u) == 1;
    return true;
  };
  CHECK(waiter.wait({&lines.point, 1}, ready, kNoDeadline) == WaitOutcome::kReady);
  CHECK(armed_at_last_look);
  CHECK(waiter.counts().sleeps == 0);
  CHECK((lines.arms.armed.load() & 1u) == 0);
}

TEST_CASE("waiter: every arming has a value of its own, also after a predecessor died armed") {
  Lines lines;
  lines.arms.armed.store(5);
  Waiter waiter({.strategy = WaitStrategy::kSleep, .sleep_bound_ns = 1});
  std::uint32_t last = 5;
  int looks = 0;
  bool distinct = true;
  const auto ready = [&] {
    const std::uint32_t armed = lines.arms.armed.load();
    // The look before arming, then two looks an arming: before and after the sleep.
    if (looks > 0 && looks % 2 == 1) {
      distinct = distinct && (armed & 1u) == 1 && armed != last;
      last = armed;
    }
    return ++looks > 20;
  };
  CHECK(waiter.wait({&lines.point, 1}, ready, kNoDeadline) == WaitOutcome::kReady);
  CHECK(distinct);
}

TEST_CASE("waiter: a bell that rings between arming and sleeping prevents the sleep") {
  Lines lines;
  Waiter waiter({.strategy = WaitStrategy::kSleep, .sleep_bound_ns = kFarNs});
  Doorbell doorbell(lines.bells, lines.arms);
  int looks = 0;
  bool published = false;
  const auto ready = [&] {
    const bool answer = published;
    // Published right after the last look before the sleep: only the bell's value tells.
    if (++looks == 2) {
      published = true;
      doorbell.ring_if_armed();
    }
    return answer;
  };
  CHECK(waiter.wait({&lines.point, 1}, ready, kNoDeadline) == WaitOutcome::kReady);
  CHECK(looks == 3);
  CHECK(waiter.counts().bound_expiries == 0);
}

TEST_CASE("waiter: a sleep that ends by its bound is counted, and so is what it then finds") {
  Lines lines;
  Waiter waiter({.strategy = WaitStrategy::kSleep, .sleep_bound_ns = 100'000});
  // The first look, the one before the sleep, the one after it, and the one before the next.
  int looks = 0;
  CHECK(waiter.wait(
            {&lines.point, 1}, [&] { return ++looks > 3; }, kNoDeadline) == WaitOutcome::kReady);
  CHECK(waiter.counts().bound_expiries == 1);
  CHECK(waiter.counts().sleeps == 1);
  CHECK(waiter.counts().late_finds == 0);
  looks = 0;
  CHECK(waiter.wait(
            {&lines.point, 1}, [&] { return ++looks > 2; }, kNoDeadline) == WaitOutcome::kReady);
  CHECK(waiter.counts().late_finds == 1);
}

std::atomic<bool> stop_asked{false};

TEST_CASE("waiter: a handled signal ends a sleep whose predicate includes a stop flag") {
  struct sigaction action = {};
  action.sa_handler = [](int) { stop_asked.store(true); };
  struct sigaction before = {};
  REQUIRE(::sigaction(SIGUSR1, &action, &before) == 0);
  Lines lines;
  std::atomic<bool> done{false};
  const pthread_t sleeper = ::pthread_self();
  std::thread sender([&] {
    // Again and again, since the first may come before the sleep; a waiter that ignored them all
    // would stay for the bound.
    while (!done.load()) {
      ::pthread_kill(sleeper, SIGUSR1);
      ::sched_yield();
    }
  });
  Waiter waiter({.strategy = WaitStrategy::kSleep, .sleep_bound_ns = kFarNs});
  const WaitOutcome outcome = waiter.wait(
      {&lines.point, 1}, [] { return stop_asked.load(); }, deadline_after(kFarNs));
  done = true;
  sender.join();
  CHECK(outcome == WaitOutcome::kReady);
  CHECK(waiter.counts().bound_expiries == 0);
  REQUIRE(::sigaction(SIGUSR1, &before, nullptr) == 0);
}

TEST_CASE("waiter: the spin budget follows what spinning achieves") {
  if (allowed_cpu_count() == 1) {
    MESSAGE("not run: with one processor nothing spins");
    return;
  }
  Lines lines;
  Waiter waiter({.sleep_bound_ns = 200'000, .spin_count_max = 1000});
  const std::uint32_t start = waiter.spin_budget();
  CHECK(start > 0);
  CHECK(start <= 1000);
  // Found late in the spin: more spinning would find later things too.
  for (int i = 0; i < 50; ++i) {
    std::uint32_t looks = 0;
    const std::uint32_t wanted = waiter.spin_budget();
    CHECK(waiter.wait(
              {&lines.point, 1}, [&] { return ++looks > wanted; }, kNoDeadline) ==
          WaitOutcome::kReady);
  }
  const std::uint32_t grown = waiter.spin_budget();
  CHECK(grown > start);
  CHECK(grown <= 1000);
  CHECK(waiter.counts().sleeps == 0);
  // Found only after long sleeps: spinning was in vain.
  for (int i = 0; i < 20; ++i) {
    const std::uint64_t from = waiter.counts().bound_expiries;
    CHECK(waiter.wait(
              {&lines.point, 1}, [&] { return waiter.counts().bound_expiries > from; },
              kNoDeadline) == WaitOutcome::kReady);
  }
  CHECK(waiter.spin_budget() < grown);
  CHECK(waiter.spin_budget() > 0);
}

TEST_CASE("waiter: a word that the caller names is waited for in the processor before sleeping") {
  if (allowed_cpu_count() == 1) {
    MESSAGE("not run: with one processor nothing spins");
    return;
  }
  Lines lines;
  const std::atomic<std::uint64_t> word{0};
  const WaitAids aids{.watched_word = &word};
  const auto counts_of = [&](const WaiterOptions& options) {
    Waiter waiter(options);
    int looks = 0;
    CHECK(waiter.wait(
              {&lines.point, 1}, [&] { return ++looks > 24; }, kNoDeadline, aids) ==
          WaitOutcome::kReady);
    return waiter.counts();
  };
  // Few looks a pause apart, so that the rest of the ladder is needed.
  WaiterOptions options{.spin_count_max = 2, .yield_count = 100};
  options.processor_wait_ns = kFarNs;
  options.processor_wait = ProcessorWait::kAlways;
  CHECK(counts_of(options).processor_waits > 10);
  CHECK(counts_of(options).sleeps == 0);
  options.processor_wait = ProcessorWait::kNever;
  CHECK(counts_of(options).processor_waits == 0);
  options.strategy = WaitStrategy::kSleep;
  options.processor_wait = ProcessorWait::kAlways;
  options.sleep_bound_ns = 1;
  CHECK(counts_of(options).processor_waits == 0);
}

TEST_CASE("waiter: a poller with a word of the caller's waits in the processor, and finds") {
  if (allowed_cpu_count() == 1) {
    MESSAGE("not run: with one processor nothing spins");
    return;
  }
  std::atomic<std::uint64_t> word{0};
  std::thread other([&] {
    while (word.load() == 0) ::sched_yield();
    word.store(2);
  });
  Waiter waiter({.strategy = WaitStrategy::kPoll, .processor_wait = ProcessorWait::kAlways});
  int looks = 0;
  const auto ready = [&] {
    if (++looks == 100) word.store(1);
    return word.load(std::memory_order_acquire) == 2;
  };
  CHECK(waiter.wait({}, ready, deadline_after(kFarNs), {.watched_word = &word}) ==
        WaitOutcome::kReady);
  CHECK(waiter.counts().processor_waits > 0);
  other.join();
}

TEST_CASE("waiter: no spin budget is exceeded when none is allowed") {
  Lines lines;
  Waiter waiter({.sleep_bound_ns = 1000, .spin_count_max = 0, .yield_count = 0});
  int looks = 0;
  CHECK(waiter.wait(
            {&lines.point, 1}, [&] { return ++looks > 6; }, kNoDeadline) == WaitOutcome::kReady);
  CHECK(waiter.counts().spins == 0);
  CHECK(waiter.counts().sleeps > 0);
}

TEST_CASE(
    "waiter: lingering it looks on across a yield, where it would have slept, and has an end") {
  const auto sleeps_until = [](bool lingers, int looks_needed) {
    Lines lines;
    // Nothing but lingering looks more than four times before it sleeps.
    Waiter waiter({.sleep_bound_ns = 1000, .spin_count_max = 0, .yield_count = 2});
    waiter.set_lingering(lingers);
    int looks = 0;
    CHECK(waiter.wait(
              {&lines.point, 1}, [&] { return ++looks >= looks_needed; }, kNoDeadline) ==
          WaitOutcome::kReady);
    return waiter.counts().sleeps;
  };
  // The first look is the caller's; a yield comes behind twenty more, and a look behind it.
  CHECK(sleeps_until(true, 22) == 0);
  CHECK(sleeps_until(false, 22) > 0);
  CHECK(sleeps_until(true, 20'000) > 0);
}

TEST_CASE("waiter: lingering hears a descriptor as well") {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  REQUIRE(::write(ends[1], "x", 1) == 1);
  WaitDescriptor descriptor{ends[0]};
  Waiter waiter;
  waiter.set_lingering(true);
  CHECK(waiter.wait({}, [] { return false; }, deadline_after(kFarNs),
                    {.descriptors = {&descriptor, 1}}) == WaitOutcome::kDescriptor);
  CHECK(descriptor.is_ready);
  CHECK(waiter.counts().sleeps == 0);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("waiter: without points it looks again every millisecond") {
  Waiter waiter({.strategy = WaitStrategy::kSleep, .sleep_bound_ns = kFarNs});
  int looks = 0;
  CHECK(waiter.wait(
            {}, [&] { return ++looks > 4; }, deadline_after(kFarNs)) == WaitOutcome::kReady);
  CHECK(waiter.counts().late_finds == 0);
}

}  // namespace
}  // namespace slipring

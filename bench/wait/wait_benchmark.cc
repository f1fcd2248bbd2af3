// What waiting costs: a wake from sleep beside the kernel's bare one, a publication beside one that
// rings for nobody, and the processor that an idle wait uses.

#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <thread>

#include "core/cpu/cache_line.h"
#include "core/cpu/relax.h"
#include "platform/process/affinity.h"
#include "platform/wait/arming.h"
#include "platform/wait/clock.h"
#include "platform/wait/doorbell.h"
#include "platform/wait/event_bell.h"
#include "platform/wait/futex.h"
#include "platform/wait/processor_wait.h"
#include "platform/wait/waiter.h"

namespace slipring {
namespace {

struct alignas(kAbiLineBytes) Number {
  std::atomic<std::uint64_t> value{0};
};

struct Page {
  BellLine bells{};
  ArmLine arms{};
  Number published;
};

constexpr std::uint64_t kStop = UINT64_MAX;

// Two processors for the two sides, as they were when the program began: a pinned thread and its
// children are allowed no others.
class Sides {
 public:
  Sides() {
    Result<std::vector<std::uint32_t>> cpus = allowed_cpus();
    for (std::size_t side = 0; cpus.ok() && cpus->size() >= 2 && side < 2; ++side) {
      const std::array<std::uint32_t, 1> own = {(*cpus)[side]};
      sets_[side] = CpuSet::of(own).value();
    }
  }
  void pin(std::size_t side) const {
    if (!sets_[side].is_empty()) static_cast<void>(sets_[side].pin_this_thread());
  }

 private:
  std::array<CpuSet, 2> sets_;
};

void pin(std::size_t side) {
  static const Sides sides;
  sides.pin(side);
}

// There and back, each side asleep when the number comes.  hand(side, number) publishes, and
// await(side, number) waits for the other side's and answers it, or kStop.
template <typename Hand, typename Await>
void round_trips(benchmark::State& state, Hand hand, Await await) {
  std::thread peer([&] {
    pin(1);
    for (std::uint64_t number = 1;; ++number) {
      if (await(std::size_t{1}, number) == kStop) return;
      hand(std::size_t{1}, number);
    }
  });
  pin(0);
  std::uint64_t number = 0;
  for (auto _ : state) {
    hand(std::size_t{0}, ++number);
    await(std::size_t{0}, number);
  }
  hand(std::size_t{0}, kStop);
  peer.join();
}

// The kernel's own: a store and a wake, a wait.
void BM_Raw_FutexRoundTrip(benchmark::State& state) {
  struct alignas(kAbiLineBytes) Word {
    std::atomic<std::uint32_t> value{0};
  };
  std::array<Word, 2> words;
  round_trips(
      state,
      [&](std::size_t side, std::uint64_t number) {
        words[side].value.store(static_cast<std::uint32_t>(number), std::memory_order_release);
        futex_wake(words[side].value, 1);
      },
      [&](std::size_t side, std::uint64_t number) {
        const auto old = static_cast<std::uint32_t>(number - 1);
        std::atomic<std::uint32_t>& word = words[1 - side].value;
        std::uint32_t seen = old;
        while ((seen = word.load(std::memory_order_acquire)) == old) {
          futex_wait(word, old, kNoDeadline);
        }
        return seen == static_cast<std::uint32_t>(kStop) ? kStop : number;
      });
}

// The same through doorbell and waiter.
void doorbell_round_trips(benchmark::State& state, const WaiterOptions& options, BellOrder order,
                          bool on_event) {
  std::array<Page, 2> pages;
  std::array<EventBell, 2> events = {EventBell::create().value(), EventBell::create().value()};
  std::array<Doorbell, 2> doorbells = {Doorbell(pages[0].bells, pages[1].arms, order),
                                       Doorbell(pages[1].bells, pages[0].arms, order)};
  for (std::size_t side = 0; on_event && side < 2; ++side) {
    doorbells[side].attach_event(events[1 - side].fd());
  }
  std::array<Waiter, 2> waiters = {Waiter(options), Waiter(options)};
  round_trips(
      state,
      [&](std::size_t side, std::uint64_t number) {
        pages[side].published.value.store(number, std::memory_order_release);
        doorbells[side].ring_if_armed();
      },
      [&](std::size_t side, std::uint64_t number) {
        const WaitPoint point = WaitPoint::of(pages[1 - side].bells, pages[side].arms, on_event);
        std::atomic<std::uint64_t>& word = pages[1 - side].published.value;
        const WaitAids aids{.watched_word = &word, .event = on_event ? &events[side] : nullptr};
        static_cast<void>(waiters[side].wait(
            {&point, 1}, [&] { return word.load(std::memory_order_acquire) >= number; },
            kNoDeadline, aids));
        return word.load(std::memory_order_acquire);
      });
  state.counters["sleeps_a_trip"] = benchmark::Counter(
      static_cast<double>(waiters[0].counts().sleeps), benchmark::Counter::kAvgIterations);
}

void BM_Doorbell_SleepRoundTrip(benchmark::State& state, BellOrder order) {
  doorbell_round_trips(state, {.strategy = WaitStrategy::kSleep}, order, false);
}
void BM_Doorbell_EventRoundTrip(benchmark::State& state, BellOrder order) {
  doorbell_round_trips(state, {.strategy = WaitStrategy::kSleep}, order, true);
}
void BM_Doorbell_SpinRoundTrip(benchmark::State& state, WaitStrategy strategy) {
  doorbell_round_trips(state, {.strategy = strategy}, BellOrder::kMembarrier, false);
}

// A publication: eight bytes into a slot and a release store, as a ring does; then the doorbell.
template <typename Ring>
void publish(benchmark::State& state, Ring ring) {
  constexpr std::size_t kSlots = 1024;
  struct Slot {
    std::uint64_t payload;
    std::atomic<std::uint64_t> sequence;
  };
  static std::array<Slot, kSlots> slots;
  std::uint64_t number = 0;
  for (auto _ : state) {
    Slot& slot = slots[number % kSlots];
    slot.payload = number;
    slot.sequence.store(++number, std::memory_order_release);
    ring();
  }
  state.SetItemsProcessed(state.iterations());
}

void BM_Publish_PollOnly(benchmark::State& state) {
  publish(state, [] {});
}
void BM_Publish_Doorbell(benchmark::State& state, BellOrder order) {
  Page own;
  Page peer;
  Doorbell doorbell(own.bells, peer.arms, order);
  publish(state, [&] { doorbell.ring_if_armed(); });
}

// One way to a consumer that polls and has to keep up: what the doorbell adds where a message moves
// between processors, which is what a link's fast path is.
template <typename Ring>
void hand_over(benchmark::State& state, Ring ring) {
  constexpr std::uint64_t kSlots = 1024;
  struct alignas(kCacheLineBytes) Slot {
    std::uint64_t payload;
    std::atomic<std::uint64_t> sequence;
  };
  static std::array<Slot, kSlots> slots;
  for (Slot& slot : slots) slot.sequence.store(0, std::memory_order_relaxed);
  Number credit;
  std::atomic<bool> stop = false;
  std::thread consumer([&] {
    pin(1);
    for (std::uint64_t number = 0;; ++number) {
      Slot& slot = slots[number % kSlots];
      while (slot.sequence.load(std::memory_order_acquire) != number + 1) {
        if (stop.load(std::memory_order_relaxed)) return;
        relax();
      }
      benchmark::DoNotOptimize(slot.payload);
      if ((number + 1) % (kSlots / 4) == 0) {
        credit.value.store(number + 1, std::memory_order_release);
      }
    }
  });
  pin(0);
  std::uint64_t number = 0;
  std::uint64_t seen = 0;
  for (auto _ : state) {
    while (number - seen >= kSlots) seen = credit.value.load(std::memory_order_acquire);
    Slot& slot = slots[number % kSlots];
    slot.payload = number;
    slot.sequence.store(++number, std::memory_order_release);
    ring();
  }
  stop.store(true, std::memory_order_relaxed);
  consumer.join();
  state.SetItemsProcessed(state.iterations());
}

void BM_HandOver_PollOnly(benchmark::State& state) {
  hand_over(state, [] {});
}
void BM_HandOver_Doorbell(benchmark::State& state, BellOrder order) {
  Page own;
  Page peer;
  Doorbell doorbell(own.bells, peer.arms, order);
  hand_over(state, [&] { doorbell.ring_if_armed(); });
}

std::uint64_t thread_cpu_ns() {
  struct rusage usage = {};
  ::getrusage(RUSAGE_THREAD, &usage);
  const auto ns_of = [](const struct timeval& time) {
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u +
           static_cast<std::uint64_t>(time.tv_usec) * 1'000u;
  };
  return ns_of(usage.ru_utime) + ns_of(usage.ru_stime);
}

// Nothing comes for a second: the share of a processor that waiting for it takes.

void BM_Idle(benchmark::State& state, WaitStrategy strategy, bool has_point) {
  constexpr std::uint64_t kWaitNs = 1'000'000'000;
  Page own;
  Page peer;
  const Doorbell doorbell(peer.bells, own.arms);
  const WaitPoint point = WaitPoint::of(peer.bells, own.arms);
  Waiter waiter({.strategy = strategy});
  std::uint64_t used_ns = 0;
  std::uint64_t waited_ns = 0;
  for (auto _ : state) {
    const std::uint64_t cpu_ns = thread_cpu_ns();
    const std::uint64_t start_ns = monotonic_ns();
    static_cast<void>(waiter.wait(
        {&point, has_point ? 1u : 0u}, [] { return false; }, start_ns + kWaitNs));
    waited_ns += monotonic_ns() - start_ns;
    used_ns += thread_cpu_ns() - cpu_ns;
  }
  state.counters["percent_of_a_cpu"] =
      100.0 * static_cast<double>(used_ns) / static_cast<double>(waited_ns);
  state.counters["sleeps"] = static_cast<double>(waiter.counts().sleeps);
}

// A message every `range(0)` microseconds: what the adaptive wait spends on spinning between them.
void BM_Sparse(benchmark::State& state, WaitStrategy strategy) {
  const auto every_ns = static_cast<std::uint64_t>(state.range(0)) * 1'000;
  Page own;
  Page peer;
  std::atomic<bool> stop = false;
  std::thread waker([&] {
    pin(1);
    Doorbell doorbell(peer.bells, own.arms);
    Waiter pacer({.strategy = WaitStrategy::kSleep});
    std::uint64_t number = 0;
    for (std::uint64_t at_ns = monotonic_ns() + every_ns; !stop.load(std::memory_order_relaxed);
         at_ns += every_ns) {
      static_cast<void>(pacer.wait(
          {}, [] { return false; }, at_ns));
      peer.published.value.store(++number, std::memory_order_release);
      doorbell.ring_if_armed();
    }
  });
  pin(0);
  const WaitPoint point = WaitPoint::of(peer.bells, own.arms);
  Waiter waiter({.strategy = strategy});
  std::uint64_t number = 0;
  const std::uint64_t cpu_ns = thread_cpu_ns();
  const std::uint64_t start_ns = monotonic_ns();
  for (auto _ : state) {
    ++number;
    static_cast<void>(waiter.wait(
        {&point, 1}, [&] { return peer.published.value.load(std::memory_order_acquire) >= number; },
        kNoDeadline));
  }
  const auto used_ns = static_cast<double>(thread_cpu_ns() - cpu_ns);
  state.counters["percent_of_a_cpu"] =
      100.0 * used_ns / static_cast<double>(monotonic_ns() - start_ns);
  stop.store(true, std::memory_order_relaxed);
  waker.join();
}

BENCHMARK(BM_Raw_FutexRoundTrip)->UseRealTime();
BENCHMARK_CAPTURE(BM_Doorbell_SleepRoundTrip, membarrier, BellOrder::kMembarrier)->UseRealTime();
BENCHMARK_CAPTURE(BM_Doorbell_SleepRoundTrip, fence, BellOrder::kFence)->UseRealTime();
BENCHMARK_CAPTURE(BM_Doorbell_EventRoundTrip, fence, BellOrder::kFence)->UseRealTime();
BENCHMARK_CAPTURE(BM_Doorbell_SpinRoundTrip, adaptive, WaitStrategy::kAdaptive)->UseRealTime();
BENCHMARK_CAPTURE(BM_Doorbell_SpinRoundTrip, poll, WaitStrategy::kPoll)->UseRealTime();
BENCHMARK(BM_Publish_PollOnly);
BENCHMARK_CAPTURE(BM_Publish_Doorbell, membarrier, BellOrder::kMembarrier);
BENCHMARK_CAPTURE(BM_Publish_Doorbell, fence, BellOrder::kFence);
BENCHMARK(BM_HandOver_PollOnly)->UseRealTime();
BENCHMARK_CAPTURE(BM_HandOver_Doorbell, membarrier, BellOrder::kMembarrier)->UseRealTime();
BENCHMARK_CAPTURE(BM_HandOver_Doorbell, fence, BellOrder::kFence)->UseRealTime();
BENCHMARK_CAPTURE(BM_Idle, sleep, WaitStrategy::kSleep, true)->Iterations(1)->UseRealTime();
BENCHMARK_CAPTURE(BM_Idle, adaptive, WaitStrategy::kAdaptive, true)->Iterations(1)->UseRealTime();
BENCHMARK_CAPTURE(BM_Idle, nobody_rings, WaitStrategy::kSleep, false)->Iterations(1)->UseRealTime();
BENCHMARK_CAPTURE(BM_Sparse, adaptive, WaitStrategy::kAdaptive)
    ->Arg(20)
    ->Arg(1'000)
    ->Arg(10'000)
    ->UseRealTime();

}  // namespace

int run(int argc, char** argv) {
  pin(0);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace slipring

int main(int argc, char** argv) {
  return slipring::run(argc, argv);
}

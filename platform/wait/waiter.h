// Waiting until something is there: poll, pause, yield, sleep, as a parameter of the link.
//
// A wait looks at a predicate of the caller; doorbells (platform/wait/doorbell.h) only say when to
// look again.  Every sleep is bounded, because a waker may be killed between publishing and
// ringing; the bound costs one look, never a wrong answer.  A signal handled during a sleep also
// makes the waiter look, so a predicate that includes a stop flag is left at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

#include "platform/wait/clock.h"
#include "platform/wait/doorbell.h"

namespace slipring {

enum class WaitStrategy : std::uint8_t {
  kPoll,      // never sleeps: lowest latency, a whole processor
  kAdaptive,  // spins as long as spinning pays, then sleeps
  kSleep,     // sleeps at once: lowest use of the processor
};

enum class WaitOutcome : std::uint8_t { kReady, kDeadline };

struct WaiterOptions {
  WaitStrategy strategy = WaitStrategy::kAdaptive;
  std::uint64_t sleep_bound_ns = 100'000'000;
  std::uint32_t spin_count_max = 2000;  // looks at the predicate, a pause apart
  std::uint32_t yield_count = 2;        // looks with the processor given away in between
};

struct WaiterCounts {
  std::uint64_t spins = 0;           // looks while spinning or yielding
  std::uint64_t sleeps = 0;          // times the thread went to sleep
  std::uint64_t bound_expiries = 0;  // sleeps that ended by their bound
  // Bound expiries after which the predicate held: a waker died, or stalled, before it rang.
  std::uint64_t late_finds = 0;
};

inline constexpr std::size_t kWaitPointCountMax = 128;

// One waiting thread's state.  Not thread-safe: one Waiter a thread.
class Waiter {
 public:
  explicit Waiter(const WaiterOptions& options = {}) noexcept;

  // Returns kReady as soon as `ready()` is true, kDeadline once CLOCK_MONOTONIC has passed
  // `deadline_ns` (kNoDeadline: never) and ready() is still false.  ready() is called often and
  // from this thread; it must not block.  Without points there is nobody to ring: it looks again
  // every millisecond.  Requires: at most kWaitPointCountMax points; the caller is the one sleeper
  // of each.
  template <typename Ready>
  [[nodiscard]] WaitOutcome wait(std::span<const WaitPoint> points, Ready&& ready,
                                 std::uint64_t deadline_ns) noexcept {
    if (ready()) return WaitOutcome::kReady;
    using Callable = std::remove_reference_t<Ready>;
    const ReadyRef look{[](void* context) -> bool { return (*static_cast<Callable*>(context))(); },
                        const_cast<void*>(static_cast<const void*>(std::addressof(ready)))};
    return wait_slow(points, look, deadline_ns);
  }

  [[nodiscard]] const WaiterCounts& counts() const noexcept { return counts_; }
  [[nodiscard]] std::uint32_t spin_budget() const noexcept { return spin_budget_; }

 private:
  // A reference to a callable, valid during the call: no std::function, no heap.
  struct ReadyRef {
    bool (*call)(void* context);
    void* context;
    bool operator()() const { return call(context); }
  };

  WaitOutcome wait_slow(std::span<const WaitPoint> points, ReadyRef ready,
                        std::uint64_t deadline_ns) noexcept;
  WaitOutcome poll(ReadyRef ready, std::uint64_t deadline_ns) noexcept;
  bool spin(ReadyRef ready, std::uint64_t deadline_ns) noexcept;
  bool sleep_once(std::span<const WaitPoint> points, ReadyRef ready,
                  std::uint64_t deadline_ns) noexcept;
  void learn(std::uint64_t slept_ns) noexcept;

  WaiterOptions options_;
  WaiterCounts counts_;
  std::uint32_t spin_budget_ = 0;
  bool alone_ =
      false;  // Only one processor is allowed: spinning would keep the waker from running.
};

}  // namespace slipring

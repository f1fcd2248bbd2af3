// Waiting until something is there, as a parameter of the link.
//
// The ladder, from the quickest answer to the cheapest wait:
//   pause           looks a pause apart, as many as waits of late deserved (spin_budget.h)
//   processor wait  UMWAIT, MWAITX, WFE on a word that the waker will store to, where the
//                   processor has it (processor_wait.h) and the caller names the word
//   yield           looks with the processor given away in between; in place of all spinning while
//                   another thread wants this processor (shared_processor.h), since it may be the
//                   waker
//   linger          a few looks, a yield, and again, in place of the rungs above, where the caller
//                   knows that nobody but the thread it serves has anything to do (set_lingering)
//   sleep           a futex on the bells; with descriptors, poll() on them and an event bell
// kPoll stays on the first two rungs, kSleep goes to the last at once.
//
// A wait looks at a predicate of the caller; doorbells (platform/wait/doorbell.h) only say when to
// look again.  Every sleep is bounded, because a waker may be killed between publishing and
// ringing; the bound costs one look, never a wrong answer.  A signal handled during a sleep also
// makes the waiter look, so a predicate that includes a stop flag is left at once.
//
// Rings and sockets at once.  One system call has to sleep on both.  io_uring can wait for futexes
// (Linux 6.7), but is forbidden in many containers; an eventfd is everywhere, and costs the waker
// one more system call a ring, and none a message.  So a wait with descriptors sleeps in poll().
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

#include "platform/wait/arming.h"
#include "platform/wait/clock.h"
#include "platform/wait/doorbell.h"
#include "platform/wait/event_bell.h"
#include "platform/wait/shared_processor.h"
#include "platform/wait/spin_budget.h"

namespace slipring {

enum class WaitStrategy : std::uint8_t {
  kPoll,      // never sleeps: lowest latency, a whole processor
  kAdaptive,  // spins as long as spinning pays, then sleeps
  kSleep,     // sleeps at once: lowest use of the processor
};

enum class WaitOutcome : std::uint8_t {
  kReady,
  kDeadline,
  kDescriptor,  // only with descriptors: one of them is ready, and ready() was still false
};

enum class ProcessorWait : std::uint8_t {
  kWhenPresent,
  kAlways,  // a loop of pauses on the word where the processor has nothing better
  kNever,
};

struct WaiterOptions {
  WaitStrategy strategy = WaitStrategy::kAdaptive;
  std::uint64_t sleep_bound_ns = 100'000'000;
  std::uint32_t spin_count_max = 2000;  // looks at the predicate, a pause apart
  std::uint32_t yield_count = 2;        // looks with the processor given away in between
  ProcessorWait processor_wait = ProcessorWait::kWhenPresent;
  std::uint64_t processor_wait_ns = 50'000;  // in all, a wait; nothing while waits are long
};

// A file descriptor in a wait.
struct WaitDescriptor {
  int fd = -1;
  bool wants_read = true;
  bool wants_write = false;
  bool is_ready = false;  // an answer of the wait: wanted, or closed, or broken
};

inline constexpr std::size_t kWaitDescriptorCountMax = 64;

// What else a wait may go by.  All of it is borrowed for the call.
struct WaitAids {
  // A word that the waker stores to when it publishes, such as a slot's sequence or a tail.
  const std::atomic<std::uint64_t>* watched_word = nullptr;
  // With an event bell (or descriptors) the wait sleeps in poll(), on all of them together.  Points
  // whose waker does not signal the event, and descriptors without any event, are served within
  // kBlindSleepNs.
  const EventBell* event = nullptr;
  std::span<WaitDescriptor> descriptors = {};  // at most kWaitDescriptorCountMax
};

struct WaiterCounts {
  std::uint64_t spins = 0;  // looks while spinning or yielding
  std::uint64_t processor_waits = 0;
  std::uint64_t sleeps = 0;          // times the thread went to sleep
  std::uint64_t bound_expiries = 0;  // sleeps that ended by their bound
  // Bound expiries after which the predicate held: a waker died, or stalled, before it rang.
  std::uint64_t late_finds = 0;
};

// A wait that has slept blindly for a while sleeps this long at a time: under 1 % of a processor.
inline constexpr std::uint64_t kLongBlindSleepNs = 8'000'000;

// One waiting thread's state.  Not thread-safe: one Waiter a thread.
class Waiter {
 public:
  explicit Waiter(const WaiterOptions& options = {}) noexcept;

  // Returns kReady as soon as `ready()` is true, kDeadline once CLOCK_MONOTONIC has passed
  // `deadline_ns` (kNoDeadline: never) and ready() is still false.  ready() is called often and
  // from this thread; it must not block.  Without points there is nobody to ring: it looks again
  // every kBlindSleepNs, and in long waits every kLongBlindSleepNs.  A descriptor that is ready
  // ends the wait, after a look at ready().  Requires: at most kWaitPointCountMax points; the
  // caller is the one sleeper of each.
  template <typename Ready>
  [[nodiscard]] WaitOutcome wait(std::span<const WaitPoint> points, Ready&& ready,
                                 std::uint64_t deadline_ns, const WaitAids& aids = {}) noexcept {
    if (ready()) return WaitOutcome::kReady;
    using Callable = std::remove_reference_t<Ready>;
    const ReadyRef look{[](void* context) -> bool { return (*static_cast<Callable*>(context))(); },
                        const_cast<void*>(static_cast<const void*>(std::addressof(ready)))};
    return wait_slow(points, look, deadline_ns, aids);
  }

  // From now on, until it is said otherwise: what is waited for comes from a thread that did
  // nothing but wait for this one, as a client with one request at a time.  An adaptive wait then
  // lingers, as long as waits are short, whoever else wants the processor: each yield gives it to
  // just that thread, or to the one between, and falling asleep would cost each request two
  // wake-ups.
  void set_lingering(bool lingers) noexcept { lingers_ = lingers; }

  [[nodiscard]] const WaiterCounts& counts() const noexcept { return counts_; }
  [[nodiscard]] std::uint32_t spin_budget() const noexcept { return budget_.looks(); }

 private:
  // A reference to a callable, valid during the call: no std::function, no heap.
  struct ReadyRef {
    bool (*call)(void* context);
    void* context;
    bool operator()() const { return call(context); }
  };

  WaitOutcome wait_slow(std::span<const WaitPoint> points, ReadyRef ready,
                        std::uint64_t deadline_ns, const WaitAids& aids) noexcept;
  WaitOutcome poll(ReadyRef ready, std::uint64_t deadline_ns, const WaitAids& aids) noexcept;
  bool climb(ReadyRef ready, std::uint64_t deadline_ns, const WaitAids& aids) noexcept;
  bool spin(ReadyRef ready, std::uint64_t deadline_ns) noexcept;
  bool linger(ReadyRef ready, std::uint64_t deadline_ns, const WaitAids& aids) noexcept;
  void yield() noexcept;
  bool wait_in_processor(ReadyRef ready, std::uint64_t deadline_ns, const WaitAids& aids) noexcept;
  bool sleep_once(std::span<const WaitPoint> points, ReadyRef ready, std::uint64_t deadline_ns,
                  const WaitAids& aids, std::uint32_t sleep_number) noexcept;
  [[nodiscard]] bool may_wait_in_processor(const WaitAids& aids) const noexcept;

  WaiterOptions options_;
  WaiterCounts counts_;
  SpinBudget budget_;
  SharedProcessor shared_;
  bool lingers_ = false;
};

}  // namespace slipring

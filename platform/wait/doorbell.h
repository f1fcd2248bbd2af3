// Sleeping that costs the waker nothing: the armed-line protocol between one waker and one sleeper,
// independent of what is waited for.
//
// Words.  `armed` lies in the sleeper's page, and only the sleeper writes it: odd while it is about
// to sleep, one more at every change, so that every arming has its own value.  `bell` lies in the
// waker's page, and only the waker writes it: a count of rings, and the futex that is slept on.
// `waker_registered` lies beside the bell: 1 promises that the waker's process is registered with
// membarrier, so that the waker runs without a fence.  Each side maps the other's page read-only.
//
//   waker                                        sleeper
//   publish (a release store)                    A  v = bell                     (acquire)
//   D  full fence, or only a compiler            B  armed = odd, full fence;
//      barrier if registered                        if waker_registered: membarrier
//   load armed                                   look at what is waited for
//   odd and not yet rung for this value?         nothing there: futex_wait(bell == v)
//   C  bell += 1 (release), futex_wake           armed = even, look again
//
// No wake-up is lost.
//  1. D and B are the two halves of a store-buffer pattern (publish, load armed | arm, look).  With
//     a fence on both sides, or with membarrier on the sleeper's (which puts a full barrier into
//     every running thread of every registered process), at least one side sees the other's store.
//     If the sleeper sees the publication, it does not sleep.
//  2. Otherwise the waker reads this very arming, an odd value g.  If it rings now, it rings after
//     having read g; if it does not, it has rung for g before, likewise after having read g.
//  3. A comes before the arming, and an acquire load is not passed by a later store; hence bell had
//     the value v before g could be read, and the ring for g makes bell differ from v.
//  4. futex_wait compares under the kernel's lock: it either finds bell changed and does not sleep,
//     or it is queued before the ring's futex_wake, which wakes it.
// Reading bell after arming would break step 3: the ring for g could be read as v and slept upon.
//
// Ringing once an arming means that a sleeper which was stopped or killed while armed costs one
// system call, not one a message, and that a burst costs one while its reader wakes up.
//
// Attach.  E  the waker registers, stores waker_registered, and fences, before its first publish;
// the sleeper reads waker_registered after the fence of B.  So either the sleeper sees the promise,
// or the waker's first look at armed sees the arming (E pairs with B, as in step 1).
//
// A sleeper in epoll arms likewise and sleeps on an eventfd (platform/wait/event_bell.h), which the
// ring of C signals after the bell.  Steps 1 and 2 hold as they are; instead of 3 and 4, the
// eventfd was drained before the arming, so that the ring's signal makes it readable and leaves it
// so.
//
// A waker with many sleepers keeps a Doorbell for each; they may share one bell, since one thread
// rings it: in step 3 the bell then differs from v all the more, and a foreign ring is a look.
//
// Crash.  A waker killed between publish and wake leaves the sleeper asleep: every sleep is bounded
// (platform/wait/waiter.h) and merely looks again.  A successor goes on with the words as they are.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/cpu/cache_line.h"

namespace slipring {

static_assert(std::atomic<std::uint32_t>::is_always_lock_free, "must be address-free");
static_assert(sizeof(std::atomic<std::uint32_t>) == 4, "a futex word");

// The waker's words, a line of the waker's page.
struct alignas(kAbiLineBytes) BellLine {
  std::atomic<std::uint32_t> bell;
  std::atomic<std::uint32_t> waker_registered;
};
static_assert(sizeof(BellLine) == kAbiLineBytes);
static_assert(offsetof(BellLine, waker_registered) == 4);

// The sleeper's word, alone on a line of the sleeper's page: it is read at every publication, and
// stays in the waker's cache as long as nobody sleeps.
struct alignas(kAbiLineBytes) ArmLine {
  std::atomic<std::uint32_t> armed;
};
static_assert(sizeof(ArmLine) == kAbiLineBytes);

enum class BellOrder : std::uint8_t {
  kMembarrier,  // the sleeper pays, by interrupting the processors of registered processes; falls
                // back to kFence where the kernel has no membarrier
  kFence,       // the waker pays, a fence a publication; for isolated real-time processors
};

// The waker's end.  Used by one thread at a time, the one that publishes.
class Doorbell {
 public:
  // For kMembarrier registers the process, and says so in the waker's page.  Make it before the
  // first publication.  Requires: the words outlive the object; nobody else writes `bell` and
  // `waker_registered`.
  Doorbell(std::atomic<std::uint32_t>& bell, std::atomic<std::uint32_t>& waker_registered,
           const std::atomic<std::uint32_t>& armed,
           BellOrder order = BellOrder::kMembarrier) noexcept;
  Doorbell(BellLine& bell_line, const ArmLine& arm_line,
           BellOrder order = BellOrder::kMembarrier) noexcept
      : Doorbell(bell_line.bell, bell_line.waker_registered, arm_line.armed, order) {}

  // After every publication.  While nobody sleeps: one load of a line in the cache, and where
  // membarrier is missing one fence.
  void ring_if_armed() noexcept {
    order_publication();  // doorbell.D pairs with doorbell.B
    // relaxed: D orders it after the publication; what is read decides only whether to wake.
    const std::uint32_t armed = armed_->load(std::memory_order_relaxed);
    if ((armed & 1u) != 0 && armed != rung_for_) [[unlikely]]
      ring(armed);
  }

  // The sleeper's eventfd, which every later ring signals; -1: none.  Borrowed: it stays open for
  // as long as the doorbell may ring.
  void attach_event(int event_fd) noexcept { event_fd_ = event_fd; }

  // Wakes whoever sleeps, armed or not: for closing, when the sleeper must look now.
  void ring_always() noexcept;

  [[nodiscard]] bool is_fence_free() const noexcept { return fence_free_; }

 private:
  void order_publication() const noexcept {
    if (fence_free_) {
      // A compiler barrier: the sleeper's membarrier supplies the fence.
      std::atomic_signal_fence(std::memory_order_seq_cst);
    } else {
      std::atomic_thread_fence(std::memory_order_seq_cst);  // doorbell.D pairs with doorbell.B
    }
  }
  void ring(std::uint32_t armed) noexcept;

  std::atomic<std::uint32_t>* bell_;
  const std::atomic<std::uint32_t>* armed_;
  std::uint32_t rung_for_ = 0;  // Private: the last arming rung for; even values are never armed.
  int event_fd_ = -1;
  bool fence_free_ = false;
};

// What a sleeper sleeps on: the bell of one waker, and the own word that tells it so.
struct WaitPoint {
  const std::atomic<std::uint32_t>* bell;
  const std::atomic<std::uint32_t>* waker_registered;
  std::atomic<std::uint32_t>* armed;
  bool signals_event = false;  // The waker's Doorbell has our event bell's descriptor.
  bool is_deaf = false;        // The waker does not look at our word yet: sleep for a moment only.

  static WaitPoint of(const BellLine& bell_line, ArmLine& arm_line,
                      bool signals_event = false) noexcept {
    return {&bell_line.bell, &bell_line.waker_registered, &arm_line.armed, signals_event};
  }
};

// For the successor of a sleeper that may have died armed.  Only the sleeper's role may call it.
void disarm(std::atomic<std::uint32_t>& armed) noexcept;

}  // namespace slipring

#include "platform/wait/arming.h"

#include "core/error/check.h"
#include "platform/wait/membarrier.h"

namespace slipring {

namespace {

// A new odd value, also where a predecessor died armed.
void arm(std::atomic<std::uint32_t>& armed) noexcept {
  // relaxed, both: nobody else writes it, and the fence of doorbell.B follows the store.
  const std::uint32_t value = armed.load(std::memory_order_relaxed);
  armed.store(value + 1 + (value & 1u), std::memory_order_relaxed);
}

// Puts the arming before the look that follows.  Returns false if a waker relies on a membarrier
// that this process cannot have.
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

}  // namespace

Arming::Arming(std::span<const WaitPoint> points, const EventBell* event) noexcept
    : points_(points) {
  check(points.size() <= kWaitPointCountMax, "a waiter has at most 128 points");
  // Both before arming: the ring for this arming must differ from what is slept on, and its signal
  // must not be drained.
  if (event != nullptr) event->drain();
  bool every_waker_is_heard = !points.empty();
  for (std::size_t i = 0; i < points.size(); ++i) {
    words_[i] = {points[i].bell,
                 points[i].bell->load(std::memory_order_acquire)};  // doorbell.A pairs with .C
    arm(*points[i].armed);
    if (points[i].is_deaf || (event != nullptr && !points[i].signals_event)) {
      every_waker_is_heard = false;
    }
  }
  is_blind_ = !order_arming(points) || !every_waker_is_heard;
}

Arming::~Arming() {
  for (const WaitPoint& point : points_) disarm(*point.armed);
}

}  // namespace slipring

#include "platform/wait/doorbell.h"

#include "platform/wait/event_bell.h"
#include "platform/wait/futex.h"
#include "platform/wait/membarrier.h"

namespace slipring {

namespace {

// One sleeper a bell is the rule; a second one can only be a predecessor's ghost.
constexpr std::uint32_t kEverySleeper = UINT32_MAX;

}  // namespace

Doorbell::Doorbell(std::atomic<std::uint32_t>& bell, std::atomic<std::uint32_t>& waker_registered,
                   const std::atomic<std::uint32_t>& armed, BellOrder order) noexcept
    : bell_(&bell),
      armed_(&armed),
      fence_free_(order == BellOrder::kMembarrier && membarrier_register()) {
  // relaxed: the fence below orders it before everything that this waker publishes.
  waker_registered.store(fence_free_ ? 1 : 0, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);  // doorbell.E pairs with doorbell.B
}

void Doorbell::ring(std::uint32_t armed) noexcept {
  rung_for_ = armed;
  ring_always();
}

void Doorbell::ring_always() noexcept {
  // relaxed: nobody else writes the bell.
  const std::uint32_t rings = bell_->load(std::memory_order_relaxed);
  bell_->store(rings + 1, std::memory_order_release);  // doorbell.C pairs with doorbell.A
  futex_wake(*bell_, kEverySleeper);
  if (event_fd_ >= 0) EventBell::signal_event(event_fd_);
}

void disarm(std::atomic<std::uint32_t>& armed) noexcept {
  // relaxed, both: nobody else writes it, and a waker that still reads the odd value rings once in
  // vain.
  const std::uint32_t value = armed.load(std::memory_order_relaxed);
  if ((value & 1u) != 0) armed.store(value + 1, std::memory_order_relaxed);
}

}  // namespace slipring

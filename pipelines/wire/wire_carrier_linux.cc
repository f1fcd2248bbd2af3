#include "pipelines/wire/wire_carrier.h"

#include <signal.h>

#include "platform/wait/clock.h"
#include "platform/wait/waiter.h"

namespace slipring::wire {

Result<std::unique_ptr<WireCarrier>> WireCarrier::start(const SegmentDirectory& directory,
                                                        const WireAddress& address,
                                                        std::string_view link,
                                                        LinkSide side) noexcept {
  Result<SegmentDirectory> own = SegmentDirectory::open_at(directory.path());
  if (!own) return own.error();
  std::unique_ptr<WireCarrier> carrier(new WireCarrier(std::move(own).value()));
  Result<std::unique_ptr<WireLoop>> loop = WireLoop::create(carrier->directory_, {});
  if (!loop) return loop.error();
  carrier->loop_ = std::move(loop).value();
  const std::string_view wire_name = address.link.empty() ? link : std::string_view(address.link);
  if (Status dialled = carrier->loop_->dial(address, link, wire_name, side); !dialled) {
    return dialled.error();
  }
  // The program's handlers run on the program's threads.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int fault = pthread_create(&carrier->thread_, nullptr, &WireCarrier::run, carrier.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (fault != 0) return Error{ErrorCode::kSystem, fault, "start a thread"};
  carrier->has_thread_ = true;
  return carrier;
}

WireCarrier::~WireCarrier() {
  // relaxed: nothing else is published with it.
  stop_.store(true, std::memory_order_relaxed);
  if (has_thread_) pthread_join(thread_, nullptr);
}

void* WireCarrier::run(void* self) noexcept {
  auto& carrier = *static_cast<WireCarrier*>(self);
  carrier.is_carried_ = carrier.loop_->run(carrier.stop_);
  carrier.is_over_.store(true, std::memory_order_release);  // carrier.A pairs with carrier.B
  return nullptr;
}

bool WireCarrier::wait_until_over(std::uint64_t deadline_ns) const noexcept {
  Waiter waiter({.strategy = WaitStrategy::kSleep});
  return waiter.wait(
             {}, [this] { return is_over(); }, deadline_ns) == WaitOutcome::kReady;
}

}  // namespace slipring::wire

// The process at the other end of a stream link, as a pump sees it.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/error/result.h"
#include "pipelines/adapter/pump_options.h"
#include "pipelines/link/role_watch.h"
#include "platform/process/certificate.h"

namespace slipring {

// A sleep on a ring has no descriptor in it.  After so long the other end's certificate is asked;
// the interval decides when a death is noticed, never whether.
inline constexpr std::uint64_t kLookAtPeerNs = 50'000'000;

[[nodiscard]] inline bool is_stopped(const PumpOptions& options) noexcept {
  // relaxed: nothing else is published with it.
  return options.stop != nullptr && options.stop->load(std::memory_order_relaxed);
}

template <typename Link>
class OtherEnd {
 public:
  OtherEnd(const Link& link, RoleWatch& watch, bool stays) noexcept
      : link_(link), watch_(watch), incarnation_before_(link.peer_incarnation()), stays_(stays) {}

  // Nobody holds the role, and since we began somebody did.  Until then we wait for somebody, as
  // the opening of a FIFO does.  Errors: kSystem.
  [[nodiscard]] Result<bool> has_died() noexcept {
    Result<Holder> holder = watch_.look();
    if (!holder) return holder.error();
    if (*holder != Holder::kNobody) {
      was_there_ = true;
      return false;
    }
    return !stays_ && (was_there_ || link_.peer_incarnation() != incarnation_before_);
  }
  void was_there() noexcept { was_there_ = true; }
  [[nodiscard]] int poll_fd() const noexcept { return watch_.poll_fd(); }

 private:
  const Link& link_;
  RoleWatch& watch_;
  std::uint32_t incarnation_before_;
  bool stays_;
  bool was_there_ = false;
};

}  // namespace slipring

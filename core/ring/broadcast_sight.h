// The writer's memory of a broadcast ring as a reader sees it.  The protocol is told in
// core/ring/broadcast_ring.h.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/cpu/atomics.h"
#include "core/ring/broadcast_page.h"

namespace slipring {

// Positions are compared by distance; nothing is further ahead than this.
inline constexpr std::uint64_t kFarthestBroadcast = std::uint64_t{1} << 62;

// Changes nothing.  Any thread.
template <typename Atomics>
class BasicBroadcastSight {
 public:
  BasicBroadcastSight(const BroadcastWriterPage& peer, const std::byte* slots,
                      const BroadcastGeometry& geometry) noexcept
      : peer_(&peer), slots_(slots), cut_(geometry) {}

  [[nodiscard]] const std::byte* payload_at(std::uint64_t position) const noexcept {
    return slots_ + cut_.offset_bytes(position) + 8;
  }
  [[nodiscard]] const std::atomic<std::uint64_t>& state_at(std::uint64_t position) const noexcept {
    return *reinterpret_cast<const std::atomic<std::uint64_t>*>(slots_ +
                                                                cut_.offset_bytes(position));
  }
  // First position neither published nor passed over.
  [[nodiscard]] std::uint64_t load_tail() const noexcept {
    const std::uint64_t missing = load_missing();
    // broadcast.F pairs with broadcast.E
    std::uint64_t tail = Atomics::load(peer_->tail, std::memory_order_acquire);
    if (tail == 0) tail = cut_.start();
    return missing - tail < kFarthest ? missing : tail;
  }
  [[nodiscard]] std::uint64_t load_missing() const noexcept {
    // broadcast.X pairs with broadcast.W
    return Atomics::load(peer_->missing_before, std::memory_order_acquire);
  }
  [[nodiscard]] std::uint64_t load_abort() const noexcept {
    // broadcast.Q pairs with broadcast.P
    return Atomics::load(peer_->abort_before, std::memory_order_acquire);
  }
  // After the last load of a payload: whether it was that of `position` throughout.
  [[nodiscard]] bool is_unchanged(std::uint64_t position) const noexcept {
    // broadcast.D pairs with broadcast.C
    Atomics::fence(std::memory_order_acquire);
    // relaxed: ordered by the fence.
    return Atomics::load(state_at(position), std::memory_order_relaxed) == cut_.published(position);
  }

  // Whether the message at `position` is not there yet, or never will be, as its slot's `state` and
  // load_missing() say.
  [[nodiscard]] bool is_yet_to_come(std::uint64_t state, std::uint64_t position,
                                    std::uint64_t missing) const noexcept {
    return cut_.may_precede(state, position) || (missing != 0 && cut_.may_linger(state, position));
  }

  // The first position from `from` on, `end` at most, that is not missing for good.
  // Bounded by a lap: where a whole lap shows nothing there is nothing.
  [[nodiscard]] std::uint64_t past_missing(std::uint64_t from, std::uint64_t end,
                                           std::uint64_t missing) const noexcept {
    if (missing - from - 1 >= kFarthest) return from;
    const std::uint64_t limit = end - missing < kFarthest ? missing : end;
    for (std::uint64_t at = from; at != limit && at - from != cut_.count(); ++at) {
      // broadcast.B pairs with broadcast.A
      const std::uint64_t state = Atomics::load(state_at(at), std::memory_order_acquire);
      if (!cut_.may_linger(state, at)) return at;
    }
    return limit;
  }

  // Whether all below `position` has been published, or passed over, as far as the slots show it.
  [[nodiscard]] bool has_published(std::uint64_t position) const noexcept {
    if (position == cut_.start()) return true;
    // broadcast.B pairs with broadcast.A
    const std::uint64_t state = Atomics::load(state_at(position - 1), std::memory_order_acquire);
    return state == cut_.published(position - 1) || cut_.may_follow(state, position - 1) ||
           load_missing() - position < kFarthest;
  }

  // The oldest message that is held, if `tail` have been published.
  [[nodiscard]] std::uint64_t oldest(std::uint64_t tail) const noexcept {
    const std::uint64_t published = tail - cut_.start();
    std::uint64_t at = tail - (published < cut_.count() ? published : cut_.count());
    // broadcast.B pairs with broadcast.A
    const std::uint64_t state = Atomics::load(state_at(at), std::memory_order_acquire);
    if (at != tail && state != cut_.published(at)) ++at;
    return past_missing(at, tail, load_missing());
  }

 private:
  static constexpr std::uint64_t kFarthest = kFarthestBroadcast;

  const BroadcastWriterPage* peer_;
  const std::byte* slots_;
  BroadcastCut cut_;
};

}  // namespace slipring

// Tells the consumer of many lanes which of them to look at.
//
// Protocol.  Each lane has one word, counted up by the lane's producer after it has published.  The
// consumer remembers the count that it saw last; a word that differs means a look at the lane.  The
// word is a hint and nothing else: any value in it costs at most a useless look, and a ring that
// never came is made good by the full scan that the consumer makes now and then (mpsc_ring.h).  So
// the words of all lanes may share one page, the only one that more than one producer writes; each
// word still has one writer, and no operation is a read-modify-write.  Lanes with neighbouring
// numbers stand on different lines, so that up to eight producers do not disturb one another.
//
// Crash.  A producer that dies between publishing and ringing leaves its message to the full scan,
// or to its successor, which rings when it attaches.
//
// Ordering.  mpsc.A -> mpsc.B  ring: who sees the count sees the lane as it was published before.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/cpu/atomics.h"
#include "core/cpu/cache_line.h"
#include "core/error/check.h"

namespace slipring {

inline constexpr std::uint32_t kMaxLanes = 64;

// Written by the producers, each its own word.
struct BellPage {
  alignas(kAbiLineBytes) std::atomic<std::uint64_t> rings[kMaxLanes];
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "shared words must be address-free");
static_assert(std::is_standard_layout_v<BellPage>);
static_assert(offsetof(BellPage, rings) == 0);
static_assert(sizeof(BellPage) == 512);

// The word of a lane: lanes 0 to 7 on a line each, then 8 to 15 on the same lines.
[[nodiscard]] constexpr std::uint32_t bell_index(std::uint32_t lane) noexcept {
  return lane % 8 * 8 + lane / 8;
}

// The producer's side of one lane's bell.  One thread at a time, as the lane's producer.
template <typename Atomics>
class BasicLaneBell {
 public:
  // The caller holds the lane's producing role.  Rings once, for what a predecessor had published
  // and not rung for.  Requires: lane < kMaxLanes.
  BasicLaneBell(BellPage& page, std::uint32_t lane) noexcept : word_(&page.rings[index_of(lane)]) {
    // relaxed: only our predecessor wrote it, and attaching ordered us after it.
    count_ = Atomics::load(*word_, std::memory_order_relaxed);
    ring();
  }

  // After publishing; one ring may stand for many messages.  Memory ordering: a consumer that is
  // led to the lane by this ring sees what was published before.
  void ring() noexcept {
    ++count_;
    Atomics::store(*word_, count_, std::memory_order_release);  // mpsc.A pairs with mpsc.B
  }

 private:
  [[nodiscard]] static std::uint32_t index_of(std::uint32_t lane) noexcept {
    check(lane < kMaxLanes, "a lane beyond the last");
    return bell_index(lane);
  }

  std::atomic<std::uint64_t>* word_;
  std::uint64_t count_ = 0;
};

using LaneBell = BasicLaneBell<StdAtomics>;

}  // namespace slipring

// DPDK's rte_ring, in memory of our own: no environment layer is started.

#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "bench/peers/both_ends.h"
#include "bench/peers/peers.h"
#include "core/error/check.h"
#include "tools/bench/alone_loop.h"
#include "tools/bench/many_loop.h"
#include "tools/bench/spsc_cells.h"
#include "tools/bench/stopped_loop.h"

namespace slipring::bench {
namespace {

template <typename M, std::size_t kSlots, bool kSpsc>
class RtePeer {
 public:
  static constexpr bool kPopBlocks = false;
  explicit RtePeer(Arena& arena) {
    constexpr unsigned kFlags = RING_F_EXACT_SZ | (kSpsc ? RING_F_SP_ENQ | RING_F_SC_DEQ : 0);
    // Of the exact size: twice the slots.
    const auto bytes = rte_ring_get_memsize_elem(sizeof(M), 2 * kSlots);
    check(bytes > 0, "rte_ring refuses the size");
    ring_ = reinterpret_cast<rte_ring*>(arena.take(static_cast<std::size_t>(bytes), 4096));
    check(rte_ring_init(ring_, "bench", kSlots, kFlags) == 0, "rte_ring cannot be made");
  }
  [[nodiscard]] bool try_push(const M& message) { return try_push_batch(&message, 1) == 1; }
  [[nodiscard]] bool try_pop(M& message) { return try_pop_batch(&message, 1) == 1; }
  [[nodiscard]] std::size_t try_push_batch(const M* messages, std::size_t count) {
    const auto wanted = static_cast<unsigned>(count);
    if constexpr (kSpsc) {
      return rte_ring_sp_enqueue_burst_elem(ring_, messages, sizeof(M), wanted, nullptr);
    } else {
      return rte_ring_mp_enqueue_burst_elem(ring_, messages, sizeof(M), wanted, nullptr);
    }
  }
  [[nodiscard]] std::size_t try_pop_batch(M* messages, std::size_t count) {
    const auto wanted = static_cast<unsigned>(count);
    if constexpr (kSpsc) {
      return rte_ring_sc_dequeue_burst_elem(ring_, messages, sizeof(M), wanted, nullptr);
    } else {
      return rte_ring_mc_dequeue_burst_elem(ring_, messages, sizeof(M), wanted, nullptr);
    }
  }

 private:
  rte_ring* ring_;
};

template <typename M, std::size_t kSlots>
using Spsc = BothEnds<RtePeer<M, kSlots, true>>;
template <typename M>
using Many = BothEnds<RtePeer<M, 1024, false>>;

constexpr Contender kRte{"rte-ring", "DPDK rte_ring", Family::kPeer, ""};

}  // namespace

void add_dpdk(Registry& registry) {
  add_streams<Spsc>(registry, kRte);
  add_batches<Spsc>(registry, kRte);
  add_trips<Spsc>(registry, kRte);
  add_processes<Spsc>(registry, kRte);
  add_alone<Spsc>(registry, kRte);
  add_many<Many>(registry, kRte);
  add_many_large<Many>(registry, kRte);
  add_stopped<Many>(registry, kRte);
}

}  // namespace slipring::bench

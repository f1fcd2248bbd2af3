// Concurrency Kit's ring: http://concurrencykit.org

// The header is C: it returns `false` where C++ wants a null pointer, which a literal 0 is too.
#define false 0
#include <ck_ring.h>
#undef false

#include "bench/peers/both_ends.h"
#include "bench/peers/peers.h"
#include "tools/bench/alone_loop.h"
#include "tools/bench/many_loop.h"
#include "tools/bench/spsc_cells.h"
#include "tools/bench/stopped_loop.h"

namespace slipring::bench {
namespace {

// One slot always stays empty; messages are copied in and out by their size.
template <typename M, std::size_t kSlots, bool kSpsc>
class CkPeer {
 public:
  static constexpr bool kPopBlocks = false;
  explicit CkPeer(Arena& arena) : slots_(reinterpret_cast<M*>(arena.take(kSlots * sizeof(M), 64))) {
    ck_ring_init(&ring_, kSlots);
  }
  [[nodiscard]] bool try_push(const M& message) {
    if constexpr (kSpsc) {
      return _ck_ring_enqueue_sp(&ring_, slots_, &message, sizeof(M), nullptr);
    } else {
      return _ck_ring_enqueue_mp(&ring_, slots_, &message, sizeof(M), nullptr);
    }
  }
  [[nodiscard]] bool try_pop(M& message) {
    if constexpr (kSpsc) {
      return _ck_ring_dequeue_sc(&ring_, slots_, &message, sizeof(M));
    } else {
      return _ck_ring_dequeue_mc(&ring_, slots_, &message, sizeof(M));
    }
  }

 private:
  alignas(64) ck_ring_t ring_;
  M* slots_;
};

template <typename M, std::size_t kSlots>
using Spsc = BothEnds<CkPeer<M, kSlots, true>>;
template <typename M>
using Many = BothEnds<CkPeer<M, 1024, false>>;

constexpr Contender kCk{"ck", "Concurrency Kit ring", Family::kPeer, ""};

}  // namespace

void add_ck(Registry& registry) {
  add_streams<Spsc>(registry, kCk);
  add_trips<Spsc>(registry, kCk);
  add_processes<Spsc>(registry, kCk);
  add_alone<Spsc>(registry, kCk);
  add_many<Many>(registry, kCk);
  add_many_large<Many>(registry, kCk);
  add_stopped<Many>(registry, kCk);
}

}  // namespace slipring::bench

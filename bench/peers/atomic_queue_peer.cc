// atomic_queue by Maxim Egorushkin: https://github.com/max0x7ba/atomic_queue

#include <atomic_queue/atomic_queue.h>

#include "bench/peers/both_ends.h"
#include "bench/peers/peers.h"
#include "tools/bench/alone_loop.h"
#include "tools/bench/many_loop.h"
#include "tools/bench/spsc_cells.h"
#include "tools/bench/stopped_loop.h"

namespace slipring::bench {
namespace {

// 8 bytes are an atomic element of their own (AtomicQueue); larger ones stand beside a state byte
// (AtomicQueue2).
template <typename M, std::size_t kSlots, bool kSpsc>
struct Select {
  using Word = std::uint64_t;
  static constexpr bool kIsWord = sizeof(M) == 8;
  using Queue =
      std::conditional_t<kIsWord,
                         atomic_queue::AtomicQueue<Word, kSlots, 0, true, true, false, kSpsc>,
                         atomic_queue::AtomicQueue2<M, kSlots, true, true, false, kSpsc>>;
  static std::uint64_t& word(M& message) { return *reinterpret_cast<std::uint64_t*>(&message); }
};

template <typename M, std::size_t kSlots, bool kSpsc, bool kOptimist>
class AtomicQueuePeer {
  using Chosen = Select<M, kSlots, kSpsc>;

 public:
  static constexpr bool kPopBlocks = kOptimist;

  explicit AtomicQueuePeer(Arena&) {}

  [[nodiscard]] bool try_push(const M& message) noexcept {
    M copy = message;
    if constexpr (kOptimist && Chosen::kIsWord) {
      queue_.push(Chosen::word(copy));
      return true;
    } else if constexpr (kOptimist) {
      queue_.push(copy);
      return true;
    } else if constexpr (Chosen::kIsWord) {
      return queue_.try_push(Chosen::word(copy));
    } else {
      return queue_.try_push(copy);
    }
  }
  [[nodiscard]] bool try_pop(M& message) noexcept {
    if constexpr (kOptimist && Chosen::kIsWord) {
      Chosen::word(message) = queue_.pop();
      return true;
    } else if constexpr (kOptimist) {
      message = queue_.pop();
      return true;
    } else if constexpr (Chosen::kIsWord) {
      return queue_.try_pop(Chosen::word(message));
    } else {
      return queue_.try_pop(message);
    }
  }

 private:
  typename Chosen::Queue queue_;
};

template <typename M, std::size_t kSlots>
using Try = BothEnds<AtomicQueuePeer<M, kSlots, true, false>>;
template <typename M, std::size_t kSlots>
using Optimist = BothEnds<AtomicQueuePeer<M, kSlots, true, true>>;
template <typename M>
using Many = BothEnds<AtomicQueuePeer<M, 1024, false, false>>;

constexpr Contender kTry{"atomic-queue.try", "atomic_queue, try", Family::kPeer, ""};
constexpr Contender kOptimist{"atomic-queue.optimist", "atomic_queue, optimist", Family::kPeer,
                              "push and pop wait inside: no try"};

}  // namespace

void add_atomic_queue(Registry& registry) {
  add_streams<Try>(registry, kTry);
  add_trips<Try>(registry, kTry);
  add_processes<Try>(registry, kTry);
  add_alone<Try>(registry, kTry);
  add_many<Many>(registry, kTry);
  add_many_large<Many>(registry, kTry);
  add_stopped<Many>(registry, kTry);
  add_streams<Optimist>(registry, kOptimist);
  add_trips<Optimist>(registry, kOptimist);
  add_processes<Optimist>(registry, kOptimist);
}

}  // namespace slipring::bench

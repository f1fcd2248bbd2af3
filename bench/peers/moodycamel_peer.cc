// readerwriterqueue and concurrentqueue by Cameron Desrochers: https://github.com/cameron314

#include <concurrentqueue/concurrentqueue.h>
#include <readerwriterqueue/readerwriterqueue.h>

#include "bench/peers/both_ends.h"
#include "bench/peers/peers.h"
#include "tools/bench/alone_loop.h"
#include "tools/bench/many_loop.h"
#include "tools/bench/spsc_cells.h"
#include "tools/bench/stopped_loop.h"

namespace slipring::bench {
namespace {

// Never allocates once it is made: a full queue refuses.
template <typename M, std::size_t kSlots>
class ReaderWriterPeer {
 public:
  static constexpr bool kPopBlocks = false;
  explicit ReaderWriterPeer(Arena&) : queue_(kSlots) {}
  [[nodiscard]] bool try_push(const M& message) { return queue_.try_enqueue(message); }
  [[nodiscard]] bool try_pop(M& message) { return queue_.try_dequeue(message); }

 private:
  moodycamel::ReaderWriterQueue<M> queue_;
};

// With tokens, as its author advises for speed.
template <typename M>
class ConcurrentChannel {
 public:
  static constexpr bool kPopBlocks = false;
  explicit ConcurrentChannel(Arena&) : queue_(1024, 16, 0) {}

  class Producer {
   public:
    explicit Producer(moodycamel::ConcurrentQueue<M>& queue) : queue_(&queue), token_(queue) {}
    [[nodiscard]] bool try_push(const M& message) { return queue_->try_enqueue(token_, message); }

   private:
    moodycamel::ConcurrentQueue<M>* queue_;
    moodycamel::ProducerToken token_;
  };
  class Consumer {
   public:
    explicit Consumer(moodycamel::ConcurrentQueue<M>& queue) : queue_(&queue), token_(queue) {}
    [[nodiscard]] bool try_pop(M& message) { return queue_->try_dequeue(token_, message); }

   private:
    moodycamel::ConcurrentQueue<M>* queue_;
    moodycamel::ConsumerToken token_;
  };
  [[nodiscard]] Producer producer(std::uint32_t) { return Producer(queue_); }
  [[nodiscard]] Consumer consumer(std::uint32_t) { return Consumer(queue_); }

 private:
  moodycamel::ConcurrentQueue<M> queue_;
};

template <typename M, std::size_t kSlots>
using ReaderWriter = BothEnds<ReaderWriterPeer<M, kSlots>>;

constexpr Contender kReaderWriter{"readerwriterqueue", "moodycamel readerwriterqueue",
                                  Family::kPeer, "in blocks: may hold twice what was asked"};
constexpr Contender kConcurrent{"concurrentqueue", "moodycamel concurrentqueue", Family::kPeer,
                                "a queue a producer: no order between producers"};

}  // namespace

void add_moodycamel(Registry& registry) {
  add_streams<ReaderWriter>(registry, kReaderWriter);
  add_trips<ReaderWriter>(registry, kReaderWriter);
  add_alone<ReaderWriter>(registry, kReaderWriter);
  add_many<ConcurrentChannel>(registry, kConcurrent);
  add_many_large<ConcurrentChannel>(registry, kConcurrent);
  add_stopped<ConcurrentChannel>(registry, kConcurrent);
}

}  // namespace slipring::bench

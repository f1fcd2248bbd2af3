// Boost.Lockfree and Boost.Interprocess

#include <unistd.h>

#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/lockfree/queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>
#include <memory>
#include <string>
#include <vector>

#include "bench/peers/both_ends.h"
#include "bench/peers/peers.h"
#include "tools/bench/alone_loop.h"
#include "tools/bench/carriers.h"
#include "tools/bench/many_loop.h"
#include "tools/bench/record_loop.h"
#include "tools/bench/spsc_cells.h"
#include "tools/bench/stopped_loop.h"

namespace slipring::bench {
namespace {

namespace ipc = boost::interprocess;

template <typename M, std::size_t kSlots>
class SpscPeer {
 public:
  static constexpr bool kPopBlocks = false;
  explicit SpscPeer(Arena&) {}
  [[nodiscard]] bool try_push(const M& message) { return queue_.push(message); }
  [[nodiscard]] bool try_pop(M& message) { return queue_.pop(message); }
  [[nodiscard]] std::size_t try_push_batch(const M* messages, std::size_t count) {
    return queue_.push(messages, count);
  }
  [[nodiscard]] std::size_t try_pop_batch(M* messages, std::size_t count) {
    return queue_.pop(messages, count);
  }

 private:
  boost::lockfree::spsc_queue<M, boost::lockfree::capacity<kSlots>> queue_;
};

template <typename M>
class QueuePeer {
 public:
  static constexpr bool kPopBlocks = false;
  explicit QueuePeer(Arena&) {}
  [[nodiscard]] bool try_push(const M& message) { return queue_.bounded_push(message); }
  [[nodiscard]] bool try_pop(M& message) { return queue_.pop(message); }

 private:
  boost::lockfree::queue<M, boost::lockfree::capacity<1024>> queue_;
};

// Removed by name as soon as both ends are made, which is before any process forks.
class InterprocessCarrier {
 public:
  InterprocessCarrier(Arena&, std::size_t size_bytes) {
    const std::string name = "slipring-bench-" + std::to_string(getpid());
    const std::size_t count = std::min<std::size_t>(1024, kRecordRingBytes / size_bytes);
    queue_ =
        std::make_unique<ipc::message_queue>(ipc::create_only, name.c_str(), count, size_bytes);
    ipc::message_queue::remove(name.c_str());
  }

  struct Producer {
    ipc::message_queue* queue;
    std::vector<std::byte> buffer;
    template <typename Fill>
    [[nodiscard]] bool try_send(std::size_t size_bytes, Fill&& fill) {
      fill(std::span<std::byte>(buffer.data(), size_bytes));
      return queue->try_send(buffer.data(), size_bytes, 0);
    }
  };
  struct Consumer {
    ipc::message_queue* queue;
    std::vector<std::byte> buffer;
    template <typename Look>
    [[nodiscard]] bool try_receive(Look&& look) {
      ipc::message_queue::size_type size_bytes = 0;
      unsigned priority = 0;
      if (!queue->try_receive(buffer.data(), buffer.size(), size_bytes, priority)) return false;
      look(std::span<const std::byte>(buffer.data(), size_bytes));
      return true;
    }
  };
  [[nodiscard]] Producer producer() const {
    return {queue_.get(), std::vector<std::byte>(queue_->get_max_msg_size())};
  }
  [[nodiscard]] Consumer consumer() const {
    return {queue_.get(), std::vector<std::byte>(queue_->get_max_msg_size())};
  }

 private:
  std::unique_ptr<ipc::message_queue> queue_;
};

template <typename M, std::size_t kSlots>
using Spsc = BothEnds<SpscPeer<M, kSlots>>;
template <typename M>
using Many = BothEnds<QueuePeer<M>>;

constexpr Contender kSpsc{"boost.spsc", "boost lockfree spsc_queue", Family::kPeer, ""};
constexpr Contender kQueue{"boost.queue", "boost lockfree queue", Family::kPeer, ""};
constexpr Contender kInterprocess{"boost.interprocess", "boost interprocess message_queue",
                                  Family::kPeer, "a lock inside: stalls when its holder stops"};

}  // namespace

void add_boost(Registry& registry) {
  add_streams<Spsc>(registry, kSpsc);
  add_batches<Spsc>(registry, kSpsc);
  add_trips<Spsc>(registry, kSpsc);
  add_processes<Spsc>(registry, kSpsc);
  add_alone<Spsc>(registry, kSpsc);
  add_many<Many>(registry, kQueue);
  add_many_large<Many>(registry, kQueue);
  add_stopped<Many>(registry, kQueue);
  using Channel8 = AsChannel<InterprocessCarrier>::Of<Message<8>, kSmallRing>;
  using Channel64 = AsChannel<InterprocessCarrier>::Of<Message<64>, kSmallRing>;
  registry.add("process.spsc64", kInterprocess,
               run_stream<Channel64, Message<64>, 1, Sides::kProcesses>);
  registry.add("process.trip8", kInterprocess, run_trips<Channel8, Message<8>, Sides::kProcesses>);
  add_records<InterprocessCarrier>(registry, kInterprocess);
}

}  // namespace slipring::bench

// Contenders whose producer and consumer are one object, which anybody may use.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tools/bench/arena.h"

namespace slipring::bench {

// Queue is constructible from an Arena and has the calls of both ends.
template <typename Queue>
class BothEnds {
 public:
  static constexpr bool kPopBlocks = Queue::kPopBlocks;

  explicit BothEnds(Arena& arena) : queue_(arena.make<Queue>(arena)) {}

  struct End {
    Queue* queue;
    template <typename M>
    [[nodiscard]] bool try_push(const M& message) {
      return queue->try_push(message);
    }
    template <typename M>
    [[nodiscard]] bool try_pop(M& message) {
      return queue->try_pop(message);
    }
    template <typename M>
    [[nodiscard]] std::size_t try_push_batch(const M* messages, std::size_t count) {
      return queue->try_push_batch(messages, count);
    }
    template <typename M>
    [[nodiscard]] std::size_t try_pop_batch(M* messages, std::size_t count) {
      return queue->try_pop_batch(messages, count);
    }
  };
  // The participant's number means nothing to them.
  [[nodiscard]] End producer(std::uint32_t = 0) const { return {&queue_}; }
  [[nodiscard]] End consumer(std::uint32_t = 0) const { return {&queue_}; }

 private:
  Queue& queue_;
};

}  // namespace slipring::bench

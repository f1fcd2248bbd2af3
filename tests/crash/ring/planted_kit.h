// A small ring with one producer and one consumer, right but for one bug that a test plants.
#pragma once

#include "tests/crash/ring/pair_kits.h"

namespace slipring::crash {

enum class Plant {
  kNone,
  kPublishFirst,  // tail before the bytes
  kDoneFirst,     // done before the bytes are read
  kNoIntent,      // taken is not written down
  kForgetsDone,   // done is stored for every other message only
  kForgetsTail,   // a successor of the producer begins where the consumer is
  kSwapped,       // of two that wait together the second is taken first
  kLocked,        // both sides take a lock
};

template <Plant plant>
struct PlantedKit {
  using Word = std::atomic<std::uint64_t>;
  static constexpr const char* kName = "planted";
  static constexpr std::uint64_t kSlots = 4;
  static constexpr std::uint64_t kOnce = 1;
  static constexpr std::uint64_t kBatch = 1;
  struct Memory {
    Word lock;
    Word tail;
    Word done;
    Word taken;
    TypedValue slots[kSlots];
  };

  // A lock that its holder's stop leaves held.  Who does not get it gives up after a while, so that
  // the test ends.
  class Lock {
   public:
    explicit Lock(Memory& memory) : memory_(memory) {
      for (int i = 0; plant == Plant::kLocked && i < 10 && !is_mine_; ++i) {
        std::uint64_t free = 0;
        is_mine_ = memory.lock.compare_exchange_strong(free, 1, std::memory_order_acquire);
      }
    }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    ~Lock() {
      if (is_mine_) memory_.lock.store(0, std::memory_order_release);
    }
    [[nodiscard]] bool is_held() const { return plant != Plant::kLocked || is_mine_; }

   private:
    Memory& memory_;
    bool is_mine_ = false;
  };

  struct Producer {
    Memory* memory;
    std::uint64_t position;

    Transfer push(const TypedValue& value) {
      const Lock lock(*memory);
      if (!lock.is_held()) return Transfer::kBlocked;
      if (position - memory->done.load(std::memory_order_acquire) == kSlots)
        return Transfer::kBlocked;
      if (plant == Plant::kPublishFirst) publish();
      memory->slots[position % kSlots] = value;
      if (plant != Plant::kPublishFirst) publish();
      ++position;
      return Transfer::kDone;
    }
    void publish() { memory->tail.store(position + 1, std::memory_order_release); }
  };
  struct Consumer {
    Memory* memory;
    std::uint64_t position;
    std::uint64_t redeliver_before;

    template <typename Use>
    Transfer take(Use use) {
      const Lock lock(*memory);
      if (!lock.is_held()) return Transfer::kBlocked;
      const std::uint64_t tail = memory->tail.load(std::memory_order_acquire);
      if (tail == position) return Transfer::kBlocked;
      if (tail - position > kSlots) return Transfer::kCorruptPeer;
      std::uint64_t at = position;
      if (plant == Plant::kSwapped && tail - position / 2 * 2 >= 2) at ^= 1;
      if (plant != Plant::kNoIntent) memory->taken.store(position + 1, std::memory_order_relaxed);
      if (plant == Plant::kDoneFirst) finish();
      use(memory->slots[at % kSlots]);
      if (plant != Plant::kDoneFirst) finish();
      ++position;
      return Transfer::kDone;
    }
    void finish() {
      if (plant == Plant::kForgetsDone && position % 2 == 0) return;
      memory->done.store(position + 1, std::memory_order_release);
    }
  };

  [[nodiscard]] static constexpr bool has(ProducerWay way) { return way == ProducerWay::kPush; }
  [[nodiscard]] static constexpr bool has(ConsumerWay way) { return way == ConsumerWay::kPeek; }
  [[nodiscard]] static std::size_t size_of(std::uint64_t) { return sizeof(TypedValue); }
  [[nodiscard]] static Result<Producer> producer(Memory& memory, std::uint64_t start) {
    const std::uint64_t tail = memory.tail.load(std::memory_order_relaxed);
    if (tail == 0) memory.tail.store(start, std::memory_order_relaxed);
    const std::uint64_t done = memory.done.load(std::memory_order_relaxed);
    if (plant == Plant::kForgetsTail && tail != 0) return Producer{&memory, done};
    return Producer{&memory, tail == 0 ? start : tail};
  }
  [[nodiscard]] static Result<Consumer> consumer(Memory& memory, std::uint64_t start) {
    const std::uint64_t done = memory.done.load(std::memory_order_relaxed);
    if (done == 0) memory.done.store(start, std::memory_order_relaxed);
    const std::uint64_t taken = memory.taken.load(std::memory_order_relaxed);
    return Consumer{&memory, done == 0 ? start : done, taken};
  }
  static void load(Box& box, std::size_t at, std::uint64_t number) {
    TypedKit::load(box, at, number);
  }
  [[nodiscard]] static std::span<const std::byte> message(const Box& box, std::size_t at) {
    return TypedKit::message(box, at);
  }

  static void push(Producer& producer, ProducerWay, const Box& box, std::uint64_t, Told& told) {
    told.answer = producer.push(TypedKit::values(box)[0]);
    if (told.answer == Transfer::kDone) told.hand_out(1);
  }
  static void pop(Consumer& consumer, ConsumerWay, Box& box, std::uint64_t, Told& told) {
    told.answer = consumer.take([&](const TypedValue& value) {
      TypedKit::values(box)[0] = value;
      told.hand_out(1);
    });
    if (told.answer == Transfer::kDone) told.finish(1);
  }
  struct Held {};
  static std::uint64_t hold(Consumer&, Held&, Box&) { return 0; }
  static void release(Consumer&, const Held&, Told&) {}
  template <typename Sink>
  static Transfer take(Consumer& consumer, Sink sink) {
    const bool is_marked = consumer.position < consumer.redeliver_before;
    return consumer.take(
        [&](const TypedValue& value) { sink(std::as_bytes(std::span(&value, 1)), is_marked); });
  }
};

}  // namespace slipring::crash

// Many to many: our rings and Vyukov's queue in one run, in the same threads' pattern, so that the
// figures may be compared.  Every message is counted and summed, and each producer's order is
// checked at every consumer.
//
// An iteration is one run of kMessages messages; items_per_second is what crossed.  Compare
// medians:
//   --benchmark_repetitions=5 --benchmark_enable_random_interleaving=true

#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "bench/peers/vyukov_queue.h"
#include "bench/ring/heap_ring.h"
#include "core/ring/exchange_ring.h"
#include "core/ring/mpmc_ring.h"

namespace slipring {
namespace {

constexpr std::uint64_t kSlotCount = 1024;
constexpr std::uint32_t kMessages = 1'000'000;

struct Message64 {
  std::array<std::uint64_t, 8> words;
};

class HandleRing {
 public:
  explicit HandleRing(std::uint32_t participants)
      : geometry_{kSlotCount, participants, 32},
        slots_(mpmc_slots_bytes(geometry_)),
        records_(mpmc_records_bytes(geometry_)) {}

  class Producer {
   public:
    explicit Producer(const MpmcProducer& end) : end_(end) {}
    bool push(std::uint32_t number) { return end_.try_push(number) == Transfer::kDone; }

   private:
    MpmcProducer end_;
  };
  class Consumer {
   public:
    explicit Consumer(const MpmcConsumer& end) : end_(end) {}
    bool pop(std::uint32_t& number) { return end_.try_pop(number) == Transfer::kDone; }

   private:
    MpmcConsumer end_;
  };
  Producer producer(std::uint32_t who) {
    return Producer(MpmcProducer::attach(shared(), who, geometry_).value());
  }
  Consumer consumer(std::uint32_t who) {
    return Consumer(MpmcConsumer::attach(shared(), who, geometry_).value());
  }

 private:
  [[nodiscard]] MpmcShared shared() const {
    return {reinterpret_cast<MpmcSlot*>(slots_.data()),
            reinterpret_cast<MpmcRecord*>(records_.data())};
  }
  MpmcGeometry geometry_;
  HeapBytes slots_;
  HeapBytes records_;
};

class BufferRing {
 public:
  explicit BufferRing(std::uint32_t participants)
      : geometry_{kSlotCount, participants, sizeof(Message64)},
        slots_(mpmc_slots_bytes(exchange_ring_of(geometry_))),
        records_(mpmc_records_bytes(exchange_ring_of(geometry_))),
        buffers_(exchange_buffers_bytes(geometry_)) {}

  class Producer {
   public:
    explicit Producer(const ExchangeProducer& end) : end_(end) {}
    bool push(std::uint32_t number) {
      Message64 message;
      message.words.fill(number);
      return end_.try_push(std::as_bytes(std::span(&message, 1))) == Transfer::kDone;
    }

   private:
    ExchangeProducer end_;
  };
  class Consumer {
   public:
    explicit Consumer(const ExchangeConsumer& end) : end_(end) {}
    bool pop(std::uint32_t& number) {
      std::span<const std::byte> taken;
      if (end_.try_take(taken) != Transfer::kDone) return false;
      Message64 message;
      std::memcpy(&message, taken.data(), sizeof message);
      number = static_cast<std::uint32_t>(message.words[7]);
      return true;
    }

   private:
    ExchangeConsumer end_;
  };
  Producer producer(std::uint32_t who) {
    return Producer(ExchangeProducer::attach(shared(), who, geometry_).value());
  }
  Consumer consumer(std::uint32_t who) {
    return Consumer(ExchangeConsumer::attach(shared(), who, geometry_).value());
  }

 private:
  [[nodiscard]] ExchangeShared shared() const {
    return {reinterpret_cast<MpmcSlot*>(slots_.data()),
            reinterpret_cast<MpmcRecord*>(records_.data()), buffers_.data()};
  }
  ExchangeGeometry geometry_;
  HeapBytes slots_;
  HeapBytes records_;
  HeapBytes buffers_;
};

template <typename T>
class Vyukov {
 public:
  explicit Vyukov(std::uint32_t /*participants*/) : queue_(kSlotCount) {}

  class End {
   public:
    explicit End(peers::VyukovQueue<T>& queue) : queue_(&queue) {}
    bool push(std::uint32_t number) {
      T value{};
      if constexpr (sizeof(T) == 8) {
        value = number;
      } else {
        value.words.fill(number);
      }
      return queue_->try_push(value);
    }
    bool pop(std::uint32_t& number) {
      T value;
      if (!queue_->try_pop(value)) return false;
      if constexpr (sizeof(T) == 8) {
        number = static_cast<std::uint32_t>(value);
      } else {
        number = static_cast<std::uint32_t>(value.words[7]);
      }
      return true;
    }

   private:
    peers::VyukovQueue<T>* queue_;
  };
  End producer(std::uint32_t /*who*/) { return End(queue_); }
  End consumer(std::uint32_t /*who*/) { return End(queue_); }

 private:
  peers::VyukovQueue<T> queue_;
};

// Polite waiting, the same for all.
void wait(std::uint32_t& spins) {
  relax();
  if (++spins % 16 == 0) std::this_thread::yield();
}

struct Result64 {
  std::atomic<std::uint64_t> sum{0};
  std::atomic<std::uint64_t> count{0};
  std::atomic<std::uint64_t> wrong{0};
};

template <typename Ring>
double run_once(std::uint32_t producers, std::uint32_t consumers, bool& is_right) {
  Ring ring(producers + consumers);
  const std::uint32_t each = kMessages / producers;
  const std::uint64_t total = std::uint64_t{each} * producers;
  Result64 result;
  std::atomic<std::uint32_t> ready{0};
  std::atomic<std::uint32_t> producing{producers};
  std::vector<std::thread> threads;
  const auto meet = [&] {
    ready.fetch_add(1);
    while (ready.load() != producers + consumers + 1) std::this_thread::yield();
  };
  for (std::uint32_t i = 0; i < producers; ++i) {
    threads.emplace_back([&, i] {
      auto end = ring.producer(i + 1);
      meet();
      std::uint32_t spins = 0;
      for (std::uint32_t n = 0; n < each;) {
        if (end.push(i << 24 | n)) {
          ++n;
        } else {
          wait(spins);
        }
      }
      producing.fetch_sub(1);
    });
  }
  for (std::uint32_t i = 0; i < consumers; ++i) {
    threads.emplace_back([&, i] {
      auto end = ring.consumer(producers + i + 1);
      std::vector<std::uint32_t> next(producers, 0);
      std::uint64_t sum = 0;
      std::uint64_t count = 0;
      std::uint64_t wrong = 0;
      meet();
      std::uint32_t spins = 0;
      for (std::uint32_t number = 0;;) {
        const bool is_last_look = producing.load() == 0;
        if (end.pop(number)) {
          std::uint32_t& wanted = next[(number >> 24) % producers];
          wrong += (number & 0xffffff) < wanted ? 1U : 0U;
          wanted = (number & 0xffffff) + 1;
          sum += number;
          ++count;
        } else if (is_last_look) {
          break;
        } else {
          wait(spins);
        }
      }
      result.sum.fetch_add(sum);
      result.count.fetch_add(count);
      result.wrong.fetch_add(wrong);
    });
  }
  meet();
  const auto begin = std::chrono::steady_clock::now();
  for (std::thread& thread : threads) thread.join();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < producers; ++i) {
    sum += (i << 24) * each + std::uint64_t{each} * (each - 1) / 2;
  }
  is_right = result.sum.load() == sum && result.count.load() == total && result.wrong.load() == 0;
  return took.count();
}

template <typename Ring>
void BM_Mpmc(benchmark::State& state) {
  const auto producers = static_cast<std::uint32_t>(state.range(0));
  const auto consumers = static_cast<std::uint32_t>(state.range(1));
  for (auto _ : state) {
    bool is_right = false;
    state.SetIterationTime(run_once<Ring>(producers, consumers, is_right));
    if (!is_right) return state.SkipWithError("a message was lost, repeated, or out of order");
  }
  state.SetItemsProcessed(state.iterations() * (kMessages / producers * producers));
}

void crowds(benchmark::internal::Benchmark* benchmark) {
  benchmark->Args({1, 1})->Args({2, 2})->Args({4, 4})->Args({1, 4})->Args({4, 1})->Args({8, 8});
  benchmark->UseManualTime()->Iterations(3);
}

BENCHMARK_TEMPLATE(BM_Mpmc, HandleRing)->Apply(crowds);
BENCHMARK_TEMPLATE(BM_Mpmc, Vyukov<std::uint64_t>)->Apply(crowds);
BENCHMARK_TEMPLATE(BM_Mpmc, BufferRing)->Apply(crowds);
BENCHMARK_TEMPLATE(BM_Mpmc, Vyukov<Message64>)->Apply(crowds);

}  // namespace
}  // namespace slipring

BENCHMARK_MAIN();

// The slot ring: alone on one thread, in batches, between two threads, there and back.  Beside each
// figure stands the raw limit that it can be held against.

#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <thread>

#include "bench/ring/heap_ring.h"

namespace slipring {
namespace {

constexpr std::uint64_t kSlotCount = 1024;
constexpr const char* kWrong = "a message was lost, repeated, torn, or out of order";

SlotGeometry geometry_of(const benchmark::State& state) {
  return {kSlotCount, static_cast<std::uint32_t>(state.range(0)), 0};
}

void count(benchmark::State& state, std::int64_t messages_an_iteration) {
  state.SetItemsProcessed(state.iterations() * messages_an_iteration);
  state.SetBytesProcessed(state.iterations() * messages_an_iteration * state.range(0));
}

bool push(SlotProducer& producer, std::uint64_t number) {
  std::span<std::byte> slot;
  if (producer.try_reserve(slot) != Transfer::kDone) return false;
  write_words(slot, number);
  producer.commit();
  return true;
}

// False when there is nothing yet; `wrong` when it is not the message that it should be.
bool pop(SlotConsumer& consumer, std::uint64_t number, bool& wrong) {
  SlotView view;
  const Transfer answer = consumer.try_peek(view);
  if (answer == Transfer::kBlocked) return false;
  wrong = answer != Transfer::kDone || !words_are(view.message, number);
  if (!wrong) consumer.release(view);
  return true;
}

void BM_SlotRing_PushPop(benchmark::State& state) {
  HeapSlotRing ring(geometry_of(state));
  std::uint64_t number = 0;
  bool wrong = false;
  for (auto _ : state) {
    if (!push(ring.producer, number) || !pop(ring.consumer, number, wrong) || wrong) {
      return state.SkipWithError(kWrong);
    }
    ++number;
  }
  count(state, 1);
}

void BM_SlotRing_Batch(benchmark::State& state) {
  HeapSlotRing ring(geometry_of(state));
  const auto batch_count = static_cast<std::uint64_t>(state.range(1));
  std::uint64_t number = 0;
  for (auto _ : state) {
    bool right = true;
    for (std::uint64_t i = 0; i < batch_count; ++i) right &= push(ring.producer, number + i);
    SlotView view;
    for (std::uint64_t i = 0; i < batch_count; ++i) {
      right &= ring.consumer.try_peek(view) == Transfer::kDone;
      right &= words_are(view.message, number + i);
    }
    if (!right) return state.SkipWithError(kWrong);
    ring.consumer.release(view);
    number += batch_count;
  }
  count(state, state.range(1));
}

void BM_SlotRing_TwoThreads(benchmark::State& state) {
  HeapSlotRing ring(geometry_of(state));
  std::atomic<bool> stop = false;
  std::thread peer([&] {
    // relaxed: a request to end, nothing follows from it.
    for (std::uint64_t number = 0; !stop.load(std::memory_order_relaxed);) {
      if (push(ring.producer, number)) {
        ++number;
      } else {
        relax();
      }
    }
  });
  std::uint64_t number = 0;
  bool wrong = false;
  for (auto _ : state) {
    while (!pop(ring.consumer, number, wrong)) relax();
    if (wrong) break;
    ++number;
  }
  stop.store(true, std::memory_order_relaxed);  // relaxed: as above
  peer.join();
  if (wrong) return state.SkipWithError(kWrong);
  count(state, 1);
}

void BM_SlotRing_RoundTrip(benchmark::State& state) {
  HeapSlotRing there(geometry_of(state));
  HeapSlotRing back(geometry_of(state));
  std::atomic<bool> stop = false;
  std::atomic<bool> peer_wrong = false;
  std::thread peer([&] {
    bool wrong = false;
    // relaxed: a request to end, nothing follows from it.
    for (std::uint64_t number = 0; !stop.load(std::memory_order_relaxed) && !wrong;) {
      if (!pop(there.consumer, number, wrong)) continue;
      wrong |= !push(back.producer, number);
      ++number;
    }
    peer_wrong.store(wrong, std::memory_order_relaxed);  // relaxed: read after join()
  });
  std::uint64_t number = 0;
  bool wrong = false;
  for (auto _ : state) {
    wrong = !push(there.producer, number);
    // relaxed: only to end the wait.
    while (!wrong && !pop(back.consumer, number, wrong)) {
      if (peer_wrong.load(std::memory_order_relaxed)) wrong = true;
    }
    if (wrong) break;
    ++number;
  }
  stop.store(true, std::memory_order_relaxed);  // relaxed: as above
  peer.join();
  // relaxed: join() ordered it.
  if (wrong || peer_wrong.load(std::memory_order_relaxed)) return state.SkipWithError(kWrong);
  count(state, 1);
}

// The limit of one thread: the same bytes copied in and out.
void BM_Raw_CopyInOut(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  HeapBytes slots(kSlotCount * size);
  std::array<std::byte, 4096> message{};
  std::uint64_t number = 0;
  for (auto _ : state) {
    std::byte* slot = slots.data() + number % kSlotCount * size;
    std::memcpy(slot, message.data(), size);
    benchmark::ClobberMemory();
    std::memcpy(message.data(), slot, size);
    benchmark::DoNotOptimize(message);
    ++number;
  }
  count(state, 1);
}

// The limit of a round trip: one line that goes to the other processor and comes back.
void BM_Raw_LineBounce(benchmark::State& state) {
  struct alignas(kAbiLineBytes) Line {
    std::atomic<std::uint64_t> word{0};
  };
  Line line;
  constexpr std::uint64_t kStop = UINT64_MAX;
  // relaxed, all: one word, and nothing beside it.
  std::thread peer([&] {
    for (std::uint64_t wanted = 1;; wanted += 2) {
      std::uint64_t seen = 0;
      while ((seen = line.word.load(std::memory_order_relaxed)) != wanted) {
        if (seen == kStop) return;
      }
      line.word.store(wanted + 1, std::memory_order_relaxed);
    }
  });
  std::uint64_t number = 0;
  for (auto _ : state) {
    line.word.store(number + 1, std::memory_order_relaxed);
    while (line.word.load(std::memory_order_relaxed) != number + 2) {
    }
    number += 2;
  }
  line.word.store(kStop, std::memory_order_relaxed);
  peer.join();
}

BENCHMARK(BM_SlotRing_PushPop)->Arg(8)->Arg(64);
BENCHMARK(BM_Raw_CopyInOut)->Arg(8)->Arg(64);
BENCHMARK(BM_SlotRing_Batch)->Args({8, 32})->Args({64, 32});
BENCHMARK(BM_SlotRing_TwoThreads)->Arg(8)->Arg(64)->UseRealTime();
BENCHMARK(BM_SlotRing_RoundTrip)->Arg(8)->Arg(64)->UseRealTime();
BENCHMARK(BM_Raw_LineBounce)->UseRealTime();

}  // namespace
}  // namespace slipring

BENCHMARK_MAIN();

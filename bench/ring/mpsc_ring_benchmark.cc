// Lanes: what it costs to find that nothing is there, what a ring of the bell costs, and how many
// producers feed one consumer.  Beside the bells stand the two ways they were weighed against:
// asking every lane, and one word of bits that producers set and the consumer takes.

#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "bench/ring/heap_ring.h"
#include "bench/ring/thread_pair.h"
#include "core/ring/mpsc_ring.h"

namespace slipring {
namespace {

constexpr const char* kWrong = "a message was lost, repeated, or out of its lane's order";
using Mpsc = MpscConsumer<SlotConsumer>;

struct Lanes {
  explicit Lanes(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      rings.push_back(std::make_unique<HeapSlotRing>(SlotGeometry{1024, 8, 0}));
      mpsc.join(i, rings[i]->consumer);
    }
  }
  BellPage bells{};
  std::vector<std::unique_ptr<HeapSlotRing>> rings;
  Mpsc mpsc{bells};
};

// One look that finds nothing.  range(0): lanes.
void BM_MpscRing_Idle(benchmark::State& state) {
  Lanes lanes(static_cast<std::uint32_t>(state.range(0)));
  Mpsc::Message message;
  for (auto _ : state) {
    if (lanes.mpsc.try_peek(message) != Transfer::kBlocked) return state.SkipWithError(kWrong);
  }
}

void BM_AskEveryLane_Idle(benchmark::State& state) {
  Lanes lanes(static_cast<std::uint32_t>(state.range(0)));
  SlotView view;
  for (auto _ : state) {
    for (auto& ring : lanes.rings) {
      if (ring->consumer.try_peek(view) != Transfer::kBlocked) return state.SkipWithError(kWrong);
    }
  }
}

void BM_Bitmap_Idle(benchmark::State& state) {
  std::atomic<std::uint64_t> bits = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(bits.load(std::memory_order_acquire));
  }
}

enum class Bell { kNone, kOwnWord, kBitmap };

// One producer and one consumer on two processors, 8-byte messages in one of 64 lanes: what telling
// costs on both sides.
template <Bell kBell>
void BM_Tell_Pair(benchmark::State& state) {
  constexpr std::uint64_t kMessages = 500'000;
  for (auto _ : state) {
    Lanes lanes(64);
    LaneBell bell(lanes.bells, 9);
    std::atomic<std::uint64_t> bits = 0;
    bool is_right = true;
    const auto send = [&] {
      SlotProducer& producer = lanes.rings[9]->producer;
      for (std::uint64_t i = 0; i != kMessages;) {
        if (producer.try_push(std::as_bytes(std::span(&i, 1))) != Transfer::kDone) {
          relax();
          continue;
        }
        ++i;
        if constexpr (kBell == Bell::kOwnWord) bell.ring();
        // A fence stands between publishing and the look at the bit, or a bit could be missed.
        if constexpr (kBell == Bell::kBitmap) bits.fetch_or(1U << 9, std::memory_order_seq_cst);
      }
    };
    const auto check_number = [&](std::span<const std::byte> message, std::uint64_t number) {
      std::uint64_t seen = 0;
      std::memcpy(&seen, message.data(), sizeof seen);
      is_right &= seen == number;
    };
    const auto receive = [&] {
      SlotView view;
      Mpsc::Message message;
      for (std::uint64_t i = 0; i != kMessages;) {
        if constexpr (kBell == Bell::kOwnWord) {
          if (lanes.mpsc.try_peek(message) != Transfer::kDone) continue;
          check_number(message.view.message, i++);
          lanes.mpsc.release(message);
        } else if constexpr (kBell == Bell::kNone) {
          for (auto& ring : lanes.rings) {
            while (ring->consumer.try_peek(view) == Transfer::kDone) {
              check_number(view.message, i++);
              ring->consumer.release(view);
            }
          }
        } else {
          if (bits.load(std::memory_order_relaxed) == 0) continue;
          for (std::uint64_t left = bits.exchange(0, std::memory_order_seq_cst); left != 0;
               left &= left - 1) {
            SlotConsumer& end =
                lanes.rings[static_cast<std::size_t>(std::countr_zero(left))]->consumer;
            while (end.try_peek(view) == Transfer::kDone) {
              check_number(view.message, i++);
              end.release(view);
            }
          }
        }
      }
    };
    state.SetIterationTime(pair_seconds(send, receive));
    if (!is_right) return state.SkipWithError(kWrong);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kMessages));
}

// range(0) producers, each a thread; more threads than processors.
void BM_MpscRing_Producers(benchmark::State& state) {
  const auto count = static_cast<std::uint32_t>(state.range(0));
  const std::uint64_t per_lane = 500'000 / count;
  for (auto _ : state) {
    Lanes lanes(count);
    std::vector<std::thread> producers;
    std::atomic<bool> go = false;
    for (std::uint32_t lane = 0; lane < count; ++lane) {
      producers.emplace_back([&, lane] {
        LaneBell bell(lanes.bells, lane);
        while (!go.load(std::memory_order_acquire)) std::this_thread::yield();
        for (std::uint64_t i = 0; i != per_lane;) {
          if (lanes.rings[lane]->producer.try_push(std::as_bytes(std::span(&i, 1))) !=
              Transfer::kDone) {
            std::this_thread::yield();
            continue;
          }
          ++i;
          bell.ring();
        }
      });
    }
    std::array<std::uint64_t, kMaxLanes> next{};
    bool is_right = true;
    const auto begin = std::chrono::steady_clock::now();
    go.store(true, std::memory_order_release);
    for (std::uint64_t received = 0; received != per_lane * count;) {
      Mpsc::Message message;
      if (lanes.mpsc.try_peek(message) != Transfer::kDone) {
        std::this_thread::yield();
        continue;
      }
      std::uint64_t seen = 0;
      std::memcpy(&seen, message.view.message.data(), sizeof seen);
      is_right &= seen == next[message.lane]++;
      lanes.mpsc.release(message);
      ++received;
    }
    state.SetIterationTime(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    for (std::thread& producer : producers) producer.join();
    if (!is_right) return state.SkipWithError(kWrong);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(per_lane * count));
}

BENCHMARK(BM_MpscRing_Idle)->Arg(1)->Arg(8)->Arg(64);
BENCHMARK(BM_AskEveryLane_Idle)->Arg(1)->Arg(8)->Arg(64);
BENCHMARK(BM_Bitmap_Idle);
BENCHMARK_TEMPLATE(BM_Tell_Pair, Bell::kOwnWord)->UseManualTime();
BENCHMARK_TEMPLATE(BM_Tell_Pair, Bell::kNone)->UseManualTime();
BENCHMARK_TEMPLATE(BM_Tell_Pair, Bell::kBitmap)->UseManualTime();
BENCHMARK(BM_MpscRing_Producers)->Arg(1)->Arg(2)->Arg(4)->Arg(8)->UseManualTime();

}  // namespace
}  // namespace slipring

BENCHMARK_MAIN();

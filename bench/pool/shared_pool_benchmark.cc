// The shared pool: what a message costs that travels as a handle, at three sizes, untouched and
// with its first line written and read.  Beside it stands the same message copied in and out.

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstring>

#include "bench/ring/heap_bytes.h"
#include "bench/ring/thread_pair.h"
#include "core/cpu/cache_line.h"
#include "core/cpu/relax.h"
#include "core/pool/pool_recovery.h"
#include "core/pool/shared_pool.h"
#include "core/ring/slot_ring.h"

namespace slipring {
namespace {

constexpr std::uint32_t kBufferCount = 256;
constexpr std::uint64_t kRingSlots = 64;
// Sent by one thread and taken by another for each time that is taken; the time is one message's.
constexpr std::uint64_t kPairMessages = 500'000;
constexpr const char* kWrong = "a buffer was lost, refused, or not the one that was sent";

struct HeapPool {
  explicit HeapPool(const SharedPoolGeometry& shape)
      : geometry(shape),
        words(pool_words_bytes(shape)),
        pages(pool_pages_bytes(shape)),
        buffers(pool_buffers_bytes(shape)) {}

  [[nodiscard]] PoolMemory parts() const {
    return {reinterpret_cast<std::atomic<std::uint64_t>*>(words.data()), pages.data(),
            buffers.data()};
  }
  [[nodiscard]] SharedPool attach(std::uint32_t participant) const {
    return SharedPool::attach(parts(), geometry, participant).value();
  }

  SharedPoolGeometry geometry;
  HeapBytes words;
  HeapBytes pages;
  HeapBytes buffers;
};

// A ring of handles.
struct HandleRing {
  [[nodiscard]] Transfer push(const PoolHandle& handle) {
    return producer.try_push({reinterpret_cast<const std::byte*>(&handle), sizeof handle});
  }
  [[nodiscard]] bool pop(PoolHandle& handle) {
    SlotView view;
    if (consumer.try_peek(view) != Transfer::kDone) return false;
    std::memcpy(&handle, view.message.data(), sizeof handle);
    consumer.release(view);
    return true;
  }

  static constexpr SlotGeometry kGeometry{kRingSlots, sizeof(PoolHandle), 0};
  ProducerPage producer_page{};
  ConsumerPage consumer_page{};
  HeapBytes slots{slot_slots_bytes(kGeometry)};
  alignas(kAbiLineBytes) SlotProducer producer =
      SlotProducer::attach(producer_page, slots.data(), consumer_page, kGeometry).value();
  alignas(kAbiLineBytes) SlotConsumer consumer =
      SlotConsumer::attach(consumer_page, producer_page, slots.data(), kGeometry).value();
};

SharedPoolGeometry geometry_of(const benchmark::State& state, std::uint32_t participant_count) {
  return {kBufferCount, participant_count, static_cast<std::uint64_t>(state.range(0))};
}

// Arguments: size of a buffer; whether its first word is written and read.
bool send_one(SharedPool& pool, HandleRing& ring, std::uint64_t number, bool touches) {
  PoolHandle handle;
  if (pool.try_acquire(handle) != Transfer::kDone) return false;
  if (touches) std::memcpy(pool.bytes(handle).data(), &number, sizeof number);
  const auto publish = [&](const PoolHandle& sent) { return ring.push(sent); };
  if (pool.send(handle, number, publish) == Transfer::kDone) return true;
  pool.give_back(handle);
  return false;
}

// False when there is nothing yet; `wrong` when it is not what it should be.
bool take_one(SharedPool& pool, HandleRing& ring, std::uint64_t number, bool touches, bool& wrong) {
  PoolHandle handle;
  if (!ring.pop(handle)) return false;
  wrong |= !pool.claim(handle);
  if (touches && !wrong) {
    std::uint64_t found = 0;
    std::memcpy(&found, pool.bytes(handle).data(), sizeof found);
    wrong |= found != number;
  }
  wrong |= !pool.give_back(handle);
  return true;
}

void BM_SharedPool_AcquireGiveBack(benchmark::State& state) {
  HeapPool memory(geometry_of(state, 2));
  SharedPool pool = memory.attach(0);
  bool wrong = false;
  for (auto _ : state) {
    PoolHandle handle;
    wrong |= pool.try_acquire(handle) != Transfer::kDone;
    wrong |= !pool.give_back(handle);
  }
  if (wrong) return state.SkipWithError(kWrong);
  state.SetItemsProcessed(state.iterations());
}

void BM_SharedPool_MessageByHandle(benchmark::State& state) {
  HeapPool memory(geometry_of(state, 2));
  HandleRing ring;
  SharedPool sender = memory.attach(0);
  SharedPool receiver = memory.attach(1);
  const bool touches = state.range(1) != 0;
  std::uint64_t number = 0;
  bool wrong = false;
  for (auto _ : state) {
    wrong |= !send_one(sender, ring, number, touches);
    wrong |= !take_one(receiver, ring, number, touches, wrong);
    ++number;
  }
  if (wrong) return state.SkipWithError(kWrong);
  state.SetItemsProcessed(state.iterations());
}

void BM_SharedPool_TwoThreads(benchmark::State& state) {
  HeapPool memory(geometry_of(state, 2));
  HandleRing ring;
  SharedPool sender = memory.attach(0);
  SharedPool receiver = memory.attach(1);
  const bool touches = state.range(1) != 0;
  bool wrong = false;
  for (auto _ : state) {
    const auto send = [&] {
      for (std::uint64_t number = 0; number < kPairMessages;) {
        if (send_one(sender, ring, number, touches)) {
          ++number;
        } else {
          relax();
        }
      }
    };
    const auto receive = [&] {
      for (std::uint64_t number = 0; number < kPairMessages;) {
        if (take_one(receiver, ring, number, touches, wrong)) {
          ++number;
        } else {
          relax();
        }
      }
    };
    state.SetIterationTime(pair_seconds(send, receive) / static_cast<double>(kPairMessages));
  }
  if (wrong) return state.SkipWithError(kWrong);
  state.SetItemsProcessed(state.iterations());
}

void BM_SharedPool_HoldLetGo(benchmark::State& state) {
  HeapPool memory(geometry_of(state, 2));
  SharedPool writer = memory.attach(0);
  SharedPool reader = memory.attach(1);
  PoolHandle handle;
  bool wrong = writer.try_acquire(handle) != Transfer::kDone;
  const PoolHandle shared = writer.share(handle);
  for (auto _ : state) {
    wrong |= !reader.hold(shared);
    wrong |= !reader.let_go(shared);
  }
  if (wrong) return state.SkipWithError(kWrong);
  state.SetItemsProcessed(state.iterations());
}

// Arguments: size of a buffer; participants whose marks are looked through.
void BM_SharedPool_ShareRetire(benchmark::State& state) {
  // Large enough for full caches: a batch of retired buffers is looked after at once.
  HeapPool memory({16384, static_cast<std::uint32_t>(state.range(1)),
                   static_cast<std::uint64_t>(state.range(0))});
  SharedPool writer = memory.attach(0);
  bool wrong = false;
  for (auto _ : state) {
    PoolHandle handle;
    wrong |= writer.try_acquire(handle) != Transfer::kDone;
    wrong |= !writer.retire(writer.share(handle));
  }
  if (wrong) return state.SkipWithError(kWrong);
  state.SetItemsProcessed(state.iterations());
}

// Argument: buffers in the pool; all of them were the dead one's.
void BM_SharedPool_Recover(benchmark::State& state) {
  HeapPool memory({static_cast<std::uint32_t>(state.range(0)), 2, 64});
  bool wrong = false;
  for (auto _ : state) {
    state.PauseTiming();
    {
      SharedPool pool = memory.attach(0);
      PoolHandle handle;
      while (pool.try_acquire(handle) == Transfer::kDone) {
      }
    }
    state.ResumeTiming();
    Result<PoolRecovery> recovery = recover_participant(
        memory.parts(), memory.geometry, 0, [](const PoolDoubt&) noexcept { return false; });
    wrong |= recovery->freed_count != memory.geometry.buffer_count;
  }
  if (wrong) return state.SkipWithError(kWrong);
}

// The same message without a pool: copied into a slot and out of it.
void BM_Raw_CopyInOut(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  constexpr std::size_t kSlots = 4;
  HeapBytes slots(kSlots * size);
  HeapBytes message(size);
  std::size_t number = 0;
  for (auto _ : state) {
    std::byte* slot = slots.data() + number++ % kSlots * size;
    std::memcpy(slot, message.data(), size);
    benchmark::ClobberMemory();
    std::memcpy(message.data(), slot, size);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations());
}

constexpr std::int64_t kMebibyte = 1 << 20;

BENCHMARK(BM_SharedPool_AcquireGiveBack)->Arg(64);
BENCHMARK(BM_SharedPool_MessageByHandle)->ArgsProduct({{64, 4096, kMebibyte}, {0, 1}});
BENCHMARK(BM_Raw_CopyInOut)->Arg(64)->Arg(4096)->Arg(kMebibyte);
BENCHMARK(BM_SharedPool_TwoThreads)
    ->ArgsProduct({{64, 4096, kMebibyte}, {0, 1}})
    ->Iterations(5)
    ->UseManualTime();
BENCHMARK(BM_SharedPool_HoldLetGo)->Arg(64);
BENCHMARK(BM_SharedPool_ShareRetire)->ArgsProduct({{64}, {2, 5, 63}});
BENCHMARK(BM_SharedPool_Recover)->Arg(1024)->Arg(kMaxSharedBuffers)->Iterations(10);

}  // namespace
}  // namespace slipring

BENCHMARK_MAIN();

// What a message costs the writer of a broadcast ring, by policy, size, and number of readers; and
// what it costs a reader that has the ring to itself.  The writer has one processor, all readers
// share another one.  With 0 readers stands the limit: the same stores with nobody looking.

#include <benchmark/benchmark.h>
#include <pthread.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "bench/ring/heap_ring.h"
#include "core/ring/broadcast_ring.h"

namespace slipring {
namespace {

constexpr std::uint64_t kSlotCount = 1024;
constexpr std::uint32_t kMaxReaders = 4;
constexpr const char* kWrong = "a message was lost without being counted, repeated, or torn";

void pin(int processor) {
  if (std::thread::hardware_concurrency() < 2) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(processor), &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

class HeapBroadcastRing {
 public:
  explicit HeapBroadcastRing(const BroadcastGeometry& geometry)
      : geometry_(geometry), slots_(broadcast_slots_bytes(geometry)) {}

  [[nodiscard]] BroadcastWriter writer() {
    std::vector<const BroadcastReaderPage*> pages;
    for (std::uint32_t i = 0; i < geometry_.reader_count; ++i) pages.push_back(&readers_[i]);
    return BroadcastWriter::attach(writer_, slots_.data(), pages, geometry_).value();
  }
  [[nodiscard]] BroadcastReader member(std::uint32_t i) {
    BroadcastReader end =
        BroadcastReader::attach(readers_[i], writer_, slots_.data(), i, geometry_).value();
    if (!end.join(BroadcastJoin::kNewest)) std::abort();
    return end;
  }

 private:
  BroadcastGeometry geometry_;
  BroadcastWriterPage writer_{};
  std::array<BroadcastReaderPage, kMaxReaders> readers_{};
  HeapBytes slots_;
};

BroadcastGeometry shape(std::size_t bytes, BroadcastPolicy policy) {
  return {kSlotCount, static_cast<std::uint32_t>(bytes),
          0,          kMaxReaders,
          policy,     policy == BroadcastPolicy::kEvict ? kSlotCount : 0};
}

template <std::size_t kBytes>
using Message = std::array<std::byte, kBytes>;

struct alignas(kAbiLineBytes) Tally {
  std::uint64_t delivered = 0;
  bool wrong = false;
};

template <std::size_t kBytes>
void read_on(TypedBroadcastReader<Message<kBytes>> reader, const std::atomic<bool>& stop,
             Tally& tally) {
  pin(1);
  Message<kBytes> message;
  std::uint64_t next = 0;
  unsigned idle_count = 0;
  while (!stop.load(std::memory_order_relaxed)) {  // relaxed: a request to end
    std::uint64_t lost = 0;
    const Reception answer = reader.try_pop(message, lost);
    if (answer == Reception::kDone) {
      next += lost;
      tally.wrong |= !words_are(message, next++);
      ++tally.delivered;
      idle_count = 0;
    } else if (answer == Reception::kEvicted) {
      tally.wrong |= !reader.ring().join(BroadcastJoin::kNewest);
    } else {
      tally.wrong |= answer == Reception::kCorruptPeer;
      relax();
      if (++idle_count % 32 == 0) sched_yield();  // the others are on this processor too
    }
  }
  reader.ring().leave();
}

template <std::size_t kBytes>
void writer_cost(benchmark::State& state, BroadcastPolicy policy) {
  const auto reader_count = static_cast<std::uint32_t>(state.range(0));
  HeapBroadcastRing ring(shape(kBytes, policy));
  TypedBroadcastWriter<Message<kBytes>> writer(ring.writer());
  std::atomic<bool> stop = false;
  std::array<Tally, kMaxReaders> tallies;
  std::vector<std::thread> readers;
  for (std::uint32_t i = 0; i < reader_count; ++i) {
    readers.emplace_back(read_on<kBytes>, TypedBroadcastReader<Message<kBytes>>(ring.member(i)),
                         std::cref(stop), std::ref(tallies[i]));
  }
  pin(0);
  std::uint64_t number = 0;
  std::uint64_t blocked_count = 0;
  Message<kBytes> message;
  for (auto _ : state) {
    write_words(message, number++);
    while (writer.try_push(message) != Transfer::kDone) {
      ++blocked_count;
      relax();
    }
  }
  stop.store(true, std::memory_order_relaxed);  // relaxed: as above
  std::uint64_t delivered = 0;
  bool wrong = false;
  for (std::thread& reader : readers) reader.join();
  for (const Tally& tally : tallies) {
    delivered += tally.delivered;
    wrong |= tally.wrong;
  }
  if (wrong) return state.SkipWithError(kWrong);
  state.SetItemsProcessed(state.iterations());
  state.counters["delivered"] = reader_count == 0 ? 0.0
                                                  : static_cast<double>(delivered) / reader_count /
                                                        static_cast<double>(state.iterations());
  state.counters["blocked"] =
      static_cast<double>(blocked_count) / static_cast<double>(state.iterations());
}

template <std::size_t kBytes>
void BM_Broadcast_Overwrite(benchmark::State& state) {
  writer_cost<kBytes>(state, BroadcastPolicy::kOverwrite);
}
template <std::size_t kBytes>
void BM_Broadcast_Evict(benchmark::State& state) {
  writer_cost<kBytes>(state, BroadcastPolicy::kEvict);
}
// The writer's time includes its waiting for readers that share one processor.
template <std::size_t kBytes>
void BM_Broadcast_Block(benchmark::State& state) {
  writer_cost<kBytes>(state, BroadcastPolicy::kBlock);
}

// Push and pop on one thread: what the instructions cost when no line moves.
template <std::size_t kBytes>
void BM_Broadcast_PushPop(benchmark::State& state) {
  pin(0);
  HeapBroadcastRing ring(shape(kBytes, BroadcastPolicy::kOverwrite));
  TypedBroadcastWriter<Message<kBytes>> writer(ring.writer());
  TypedBroadcastReader<Message<kBytes>> reader(ring.member(0));
  Message<kBytes> message;
  std::uint64_t number = 0;
  for (auto _ : state) {
    std::uint64_t lost = 0;
    write_words(message, number);
    if (writer.try_push(message) != Transfer::kDone ||
        reader.try_pop(message, lost) != Reception::kDone || !words_are(message, number)) {
      return state.SkipWithError(kWrong);
    }
    ++number;
  }
  state.SetItemsProcessed(state.iterations());
}

void readers(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("readers")->Arg(0)->Arg(1)->Arg(2)->Arg(4)->UseRealTime();
}

BENCHMARK_TEMPLATE(BM_Broadcast_PushPop, 8);
BENCHMARK_TEMPLATE(BM_Broadcast_PushPop, 64);
BENCHMARK_TEMPLATE(BM_Broadcast_PushPop, 1024);
BENCHMARK_TEMPLATE(BM_Broadcast_Overwrite, 8)->Apply(readers);
BENCHMARK_TEMPLATE(BM_Broadcast_Overwrite, 64)->Apply(readers);
BENCHMARK_TEMPLATE(BM_Broadcast_Overwrite, 1024)->Apply(readers);
BENCHMARK_TEMPLATE(BM_Broadcast_Evict, 8)->Apply(readers);
BENCHMARK_TEMPLATE(BM_Broadcast_Evict, 64)->Apply(readers);
BENCHMARK_TEMPLATE(BM_Broadcast_Evict, 1024)->Apply(readers);
BENCHMARK_TEMPLATE(BM_Broadcast_Block, 8)->Apply(readers);
BENCHMARK_TEMPLATE(BM_Broadcast_Block, 64)->Apply(readers);
BENCHMARK_TEMPLATE(BM_Broadcast_Block, 1024)->Apply(readers);

}  // namespace
}  // namespace slipring

BENCHMARK_MAIN();

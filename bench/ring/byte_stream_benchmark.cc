// The byte stream, alone on one thread and between two; memcpy beside it.  Writes and reads may be
// partial, as those of a pipe.

#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "bench/ring/heap_ring.h"
#include "bench/ring/thread_pair.h"
#include "core/ring/byte_stream.h"

namespace slipring {
namespace {

constexpr std::uint64_t kCapacityBytes = 1U << 20;
constexpr const char* kWrong = "a byte was lost, repeated, or out of order";

struct HeapStream {
  ProducerPage producer_page{};
  ConsumerPage consumer_page{};
  HeapBytes bytes{kCapacityBytes};
  alignas(kAbiLineBytes) StreamProducer producer = StreamProducer::attach(producer_page,
                                                                          bytes.data(),
                                                                          consumer_page,
                                                                          {kCapacityBytes, 0})
                                                       .value();
  alignas(kAbiLineBytes) StreamConsumer consumer = StreamConsumer::attach(consumer_page,
                                                                          producer_page,
                                                                          bytes.data(),
                                                                          {kCapacityBytes, 0})
                                                       .value();
};

std::size_t size_of(const benchmark::State& state) {
  return static_cast<std::size_t>(state.range(0));
}

void BM_ByteStream_WriteRead(benchmark::State& state) {
  HeapStream stream;
  std::vector<std::byte> sent(size_of(state), std::byte{7});
  std::vector<std::byte> received(size_of(state));
  for (auto _ : state) {
    std::size_t written = 0;
    std::size_t read = 0;
    if (stream.producer.try_write(sent, written) != Transfer::kDone ||
        stream.consumer.try_read(received, read) != Transfer::kDone || written != read) {
      return state.SkipWithError(kWrong);
    }
  }
  if (received != sent) return state.SkipWithError(kWrong);
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

// range(0): bytes a write and a read.  Every first word of a write's worth is checked.
void BM_ByteStream_Pair(benchmark::State& state) {
  const std::size_t size = size_of(state);
  const std::uint64_t words =
      (std::uint64_t{64} << 20) / size < 1'000'000 ? (std::uint64_t{64} << 20) / size : 1'000'000;
  for (auto _ : state) {
    HeapStream stream;
    bool is_right = true;
    state.SetIterationTime(pair_seconds(
        [&] {
          std::vector<std::byte> bytes(16 * size);
          for (std::uint64_t i = 0; i != 16; ++i) {
            write_words(std::span(bytes).subspan(i * size, size), i);
          }
          for (std::uint64_t i = 0; i != words; ++i) {
            std::span<const std::byte> left = std::span(bytes).subspan(i % 16 * size, size);
            while (!left.empty()) {
              std::size_t count = 0;
              if (stream.producer.try_write(left, count) != Transfer::kDone) relax();
              left = left.subspan(count);
            }
          }
        },
        [&] {
          std::vector<std::byte> bytes(size);
          for (std::uint64_t i = 0; i != words; ++i) {
            std::span<std::byte> left(bytes);
            while (!left.empty()) {
              std::size_t count = 0;
              if (stream.consumer.try_read(left, count) != Transfer::kDone) relax();
              left = left.subspan(count);
            }
            std::uint64_t first = 0;
            std::memcpy(&first, bytes.data(), sizeof first);
            is_right &= first == i % 16;
          }
        }));
    if (!is_right) return state.SkipWithError(kWrong);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(words));
  state.SetBytesProcessed(state.items_processed() * state.range(0));
}

// The limit of one thread: the same copies in and out.
void BM_Raw_CopyInOut(benchmark::State& state) {
  HeapBytes bytes(kCapacityBytes);
  std::vector<std::byte> message(size_of(state));
  std::uint64_t at = 0;
  for (auto _ : state) {
    std::memcpy(bytes.data() + at, message.data(), message.size());
    benchmark::ClobberMemory();
    std::memcpy(message.data(), bytes.data() + at, message.size());
    benchmark::DoNotOptimize(message.data());
    at = (at + message.size()) % kCapacityBytes;
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

BENCHMARK(BM_ByteStream_WriteRead)->RangeMultiplier(8)->Range(16, 65536);
BENCHMARK(BM_Raw_CopyInOut)->RangeMultiplier(8)->Range(16, 65536);
BENCHMARK(BM_ByteStream_Pair)->RangeMultiplier(4)->Range(16, 65536)->UseManualTime();

}  // namespace
}  // namespace slipring

BENCHMARK_MAIN();

// The record ring from 16 bytes to 64 KiB, alone on one thread and between two; memcpy beside it.
// The ring writes and reads in place; the copies in and out are what a caller with a message of its
// own pays, and what memcpy is compared with.

#include <benchmark/benchmark.h>

#include <atomic>
#include <thread>
#include <vector>

#include "bench/ring/heap_ring.h"

namespace slipring {
namespace {

constexpr std::uint64_t kCapacityBytes = 1U << 20;
constexpr const char* kWrong = "a record was lost, repeated, torn, or out of order";

std::size_t size_of(const benchmark::State& state) {
  return static_cast<std::size_t>(state.range(0));
}

void count(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

bool push(RecordProducer& producer, std::size_t size_bytes, std::uint64_t number) {
  std::span<std::byte> payload;
  if (producer.try_reserve(size_bytes, payload) != Transfer::kDone) return false;
  write_words(payload, number);
  producer.commit(size_bytes);
  return true;
}

bool pop(RecordConsumer& consumer, std::size_t size_bytes, std::uint64_t number, bool& wrong) {
  RecordView view;
  const Transfer answer = consumer.try_peek(view);
  if (answer == Transfer::kBlocked) return false;
  wrong = answer != Transfer::kDone || view.message.size() != size_bytes ||
          !words_are(view.message, number);
  if (!wrong) consumer.release(view);
  return true;
}

// Every word written in place and checked in place.
void BM_RecordRing_WriteCheck(benchmark::State& state) {
  HeapRecordRing ring({kCapacityBytes, 0});
  std::uint64_t number = 0;
  bool wrong = false;
  for (auto _ : state) {
    if (!push(ring.producer, size_of(state), number) ||
        !pop(ring.consumer, size_of(state), number, wrong) || wrong) {
      return state.SkipWithError(kWrong);
    }
    ++number;
  }
  count(state);
}

// Copied in and copied out, as pipes do it; the first word of each is checked.
void BM_RecordRing_CopyInOut(benchmark::State& state) {
  HeapRecordRing ring({kCapacityBytes, 0});
  std::vector<std::byte> sent(size_of(state));
  std::vector<std::byte> received(size_of(state));
  std::uint64_t number = 0;
  for (auto _ : state) {
    std::memcpy(sent.data(), &number, sizeof number);
    RecordView view;
    if (ring.producer.try_push(sent) != Transfer::kDone ||
        ring.consumer.try_peek(view) != Transfer::kDone || view.message.size() != sent.size()) {
      return state.SkipWithError(kWrong);
    }
    std::memcpy(received.data(), view.message.data(), received.size());
    ring.consumer.release(view);
    std::uint64_t seen = 0;
    std::memcpy(&seen, received.data(), sizeof seen);
    if (seen != number++) return state.SkipWithError(kWrong);
  }
  count(state);
}

// The limit of BM_RecordRing_CopyInOut: the same copies over as many bytes of memory.
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
  count(state);
}

void BM_RecordRing_TwoThreads(benchmark::State& state) {
  HeapRecordRing ring({kCapacityBytes, 0});
  std::atomic<bool> stop = false;
  std::thread peer([&] {
    // relaxed: a request to end, nothing follows from it.
    for (std::uint64_t number = 0; !stop.load(std::memory_order_relaxed);) {
      if (push(ring.producer, size_of(state), number)) {
        ++number;
      } else {
        relax();
      }
    }
  });
  std::uint64_t number = 0;
  bool wrong = false;
  for (auto _ : state) {
    while (!pop(ring.consumer, size_of(state), number, wrong)) relax();
    if (wrong) break;
    ++number;
  }
  stop.store(true, std::memory_order_relaxed);  // relaxed: as above
  peer.join();
  if (wrong) return state.SkipWithError(kWrong);
  count(state);
}

BENCHMARK(BM_RecordRing_CopyInOut)->RangeMultiplier(8)->Range(16, 65536);
BENCHMARK(BM_Raw_CopyInOut)->RangeMultiplier(8)->Range(16, 65536);
BENCHMARK(BM_RecordRing_WriteCheck)->RangeMultiplier(8)->Range(16, 65536);
BENCHMARK(BM_RecordRing_TwoThreads)->RangeMultiplier(8)->Range(16, 65536)->UseRealTime();

}  // namespace
}  // namespace slipring

BENCHMARK_MAIN();

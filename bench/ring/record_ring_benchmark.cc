// The record ring from 16 bytes to 64 KiB, alone on one thread and between two; memcpy beside it.
// The ring writes and reads in place; the copies in and out are what a caller with a message of its
// own pays, and what memcpy is compared with.

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstring>
#include <span>
#include <vector>

#include "bench/ring/heap_ring.h"
#include "bench/ring/thread_pair.h"
#include "core/ring/message_copy.h"

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

// Between two threads.  range(0): bytes of a record; range(1): records a commit and a release;
// range(2): pauses after the consumer has found nothing.  The pauses matter because a consumer that
// stays at the producer's heels pulls every line while it is being written, and a little distance
// makes the same records several times cheaper.
enum class Style { kCopy, kInPlace };

std::uint64_t pair_count(std::size_t size_bytes) {
  const std::uint64_t count = (std::uint64_t{64} << 20) / size_bytes;
  return count < 1'000'000 ? count : 1'000'000;
}

// Sixteen messages, so that the copies in read whole words that were written long ago.
class Messages {
 public:
  explicit Messages(std::size_t size_bytes) : bytes_(16 * size_bytes), size_bytes_(size_bytes) {
    for (std::uint64_t i = 0; i < 16; ++i)
      write_words(std::span(bytes_).subspan(i * size_bytes, size_bytes), i);
  }
  [[nodiscard]] std::span<const std::byte> at(std::uint64_t number) const {
    return std::span(bytes_).subspan((number & 15) * size_bytes_, size_bytes_);
  }

 private:
  std::vector<std::byte> bytes_;
  std::size_t size_bytes_;
};

// What both the ring and the raw hand-off do with a message, in the same words.
template <Style kStyle>
void put(std::span<std::byte> place, const Messages& messages, std::uint64_t number) {
  if constexpr (kStyle == Style::kCopy) {
    copy_message(place.data(), messages.at(number).data(), place.size());
  } else {
    write_words(place, number);
  }
}

template <Style kStyle>
bool take(std::span<const std::byte> place, std::span<std::byte> copy, std::uint64_t number) {
  if constexpr (kStyle == Style::kCopy) {
    copy_message(copy.data(), place.data(), place.size());
    std::uint64_t first = 0;
    std::memcpy(&first, copy.data(), sizeof first);
    return first == (number & 15);
  } else {
    return words_are(place, number);
  }
}

template <Style kStyle>
void send_records(RecordProducer& producer, std::size_t size_bytes, std::uint64_t batch,
                  std::uint64_t count) {
  const Messages messages(size_bytes);
  std::uint64_t unpublished = 0;
  for (std::uint64_t number = 0; number != count;) {
    std::span<std::byte> place;
    if (producer.try_reserve(size_bytes, place) != Transfer::kDone) {
      producer.publish();
      unpublished = 0;
      relax();
      continue;
    }
    put<kStyle>(place, messages, number++);
    producer.close(size_bytes);
    if (++unpublished == batch || number == count) {
      producer.publish();
      unpublished = 0;
    }
  }
}

template <Style kStyle>
bool receive_records(RecordConsumer& consumer, std::size_t size_bytes, std::uint64_t batch,
                     std::int64_t dwell, std::uint64_t count) {
  std::vector<std::byte> copy(size_bytes);
  bool is_right = true;
  for (std::uint64_t number = 0; number != count;) {
    RecordView view;
    std::uint64_t held = 0;
    while (held != batch && consumer.try_peek(view) == Transfer::kDone) {
      is_right &= view.message.size() == size_bytes && take<kStyle>(view.message, copy, number++);
      ++held;
    }
    if (held != 0) {
      consumer.release(view);
    } else {
      for (std::int64_t i = 0; i < dwell; ++i) relax();
    }
  }
  return is_right;
}

template <Style kStyle>
void BM_RecordRing_Pair(benchmark::State& state) {
  const std::size_t size = size_of(state);
  const auto batch = static_cast<std::uint64_t>(state.range(1));
  const std::uint64_t messages = pair_count(size);
  for (auto _ : state) {
    HeapRecordRing ring({kCapacityBytes, 0});
    bool is_right = false;
    state.SetIterationTime(pair_seconds(
        [&] { send_records<kStyle>(ring.producer, size, batch, messages); },
        [&] {
          is_right = receive_records<kStyle>(ring.consumer, size, batch, state.range(2), messages);
        }));
    if (!is_right) return state.SkipWithError(kWrong);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(messages));
  state.SetBytesProcessed(state.items_processed() * state.range(0));
}

// The limit: the same bytes handed over half a ring at a time, by one flag each way.
template <Style kStyle>
void BM_Raw_Pair(benchmark::State& state) {
  const std::size_t size = size_of(state);
  const std::uint64_t per_half = kCapacityBytes / 2 / size;
  const std::uint64_t halves = (pair_count(size) + per_half - 1) / per_half;
  struct alignas(kAbiLineBytes) Flag {
    std::atomic<std::uint32_t> full = 0;
  };
  for (auto _ : state) {
    HeapBytes bytes(kCapacityBytes);
    Flag flags[2];
    bool is_right = true;
    const auto each_half = [&](std::uint32_t wanted, auto use) {
      for (std::uint64_t half = 0; half != halves; ++half) {
        std::atomic<std::uint32_t>& full = flags[half % 2].full;
        while (full.load(std::memory_order_acquire) != wanted) relax();
        std::byte* at = bytes.data() + half % 2 * (kCapacityBytes / 2);
        for (std::uint64_t i = 0; i != per_half; ++i, at += size) {
          use(std::span(at, size), half * per_half + i);
        }
        full.store(1 - wanted, std::memory_order_release);
      }
    };
    state.SetIterationTime(pair_seconds(
        [&] {
          const Messages messages(size);
          each_half(0, [&](std::span<std::byte> place, std::uint64_t number) {
            put<kStyle>(place, messages, number);
          });
        },
        [&] {
          std::vector<std::byte> copy(size);
          each_half(1, [&](std::span<std::byte> place, std::uint64_t number) {
            is_right &= take<kStyle>(place, copy, number);
          });
        }));
    if (!is_right) return state.SkipWithError(kWrong);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(halves * per_half));
  state.SetBytesProcessed(state.items_processed() * state.range(0));
}

void pair_arguments(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t size : {16, 64, 256, 1024, 4096, 65536}) {
    // A batch is at most a quarter of the ring.
    const std::int64_t batch = size == 65536 ? 4 : 32;
    benchmark->Args({size, 1, 1})->Args({size, 1, 64})->Args({size, batch, 1});
  }
}

BENCHMARK(BM_RecordRing_CopyInOut)->RangeMultiplier(8)->Range(16, 65536);
BENCHMARK(BM_Raw_CopyInOut)->RangeMultiplier(8)->Range(16, 65536);
BENCHMARK(BM_RecordRing_WriteCheck)->RangeMultiplier(8)->Range(16, 65536);
BENCHMARK_TEMPLATE(BM_RecordRing_Pair, Style::kCopy)->Apply(pair_arguments)->UseManualTime();
BENCHMARK_TEMPLATE(BM_Raw_Pair, Style::kCopy)
    ->RangeMultiplier(4)
    ->Range(16, 65536)
    ->UseManualTime();
BENCHMARK_TEMPLATE(BM_RecordRing_Pair, Style::kInPlace)->Apply(pair_arguments)->UseManualTime();
BENCHMARK_TEMPLATE(BM_Raw_Pair, Style::kInPlace)
    ->RangeMultiplier(4)
    ->Range(16, 65536)
    ->UseManualTime();

}  // namespace
}  // namespace slipring

BENCHMARK_MAIN();

// Threads on one mapping; every message once, and each producer's in order at every consumer.  Run
// it with --config=tsan, which sees missing orders that an x86 does not show.

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "tests/core/ring/mpmc_memory.h"

namespace slipring {
namespace {

constexpr std::uint32_t kMessageCount = 20'000;  // of each producer

struct Tally {
  std::atomic<std::uint64_t> popped{0};
  std::atomic<std::uint64_t> sum{0};
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<bool> gave_up{false};
};

// push(i, number) and pop(i) -> number, or UINT64_MAX for none; `i` numbers producers, consumers.
// Numbers are producer * 2^20 + count.
template <typename Push, typename Pop>
void run_threads(std::uint32_t producers, std::uint32_t consumers, Push push, Pop pop) {
  Tally tally;
  const std::uint64_t total = std::uint64_t{producers} * kMessageCount;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  const auto wait = [&](std::uint64_t& spins) {
    if (++spins % 64 == 0) std::this_thread::yield();
    if (spins % 65536 == 0 && std::chrono::steady_clock::now() > deadline) {
      tally.gave_up.store(true, std::memory_order_relaxed);
    }
    return !tally.gave_up.load(std::memory_order_relaxed);
  };
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < producers; ++i) {
    threads.emplace_back([&, i] {
      std::uint64_t spins = 0;
      for (std::uint32_t n = 0; n < kMessageCount;) {
        if (push(i, i << 20 | n)) {
          ++n;
        } else if (!wait(spins)) {
          return;
        }
      }
    });
  }
  for (std::uint32_t i = 0; i < consumers; ++i) {
    threads.emplace_back([&, i] {
      std::vector<std::uint64_t> next(producers, 0);
      std::uint64_t spins = 0;
      while (tally.popped.load(std::memory_order_relaxed) < total) {
        const std::uint64_t number = pop(i);
        if (number == UINT64_MAX) {
          if (!wait(spins)) return;
          continue;
        }
        const std::uint64_t from = number >> 20;
        const std::uint64_t count = number & 0xfffff;
        if (from >= producers || count < next[from]) {
          tally.wrong.fetch_add(1, std::memory_order_relaxed);
        } else {
          next[from] = count + 1;
        }
        tally.sum.fetch_add(number, std::memory_order_relaxed);
        tally.popped.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < producers; ++i) {
    sum += (i << 20) * kMessageCount + std::uint64_t{kMessageCount} * (kMessageCount - 1) / 2;
  }
  CHECK_FALSE(tally.gave_up.load());
  CHECK(tally.popped.load() == total);
  CHECK(tally.sum.load() == sum);
  CHECK(tally.wrong.load() == 0);
}

struct Crowd {
  std::uint32_t producers;
  std::uint32_t consumers;
};
constexpr std::array<Crowd, 5> kCrowds{{{1, 1}, {2, 2}, {4, 4}, {1, 4}, {4, 1}}};

TEST_CASE("mpmc stress: handles come once and in each producer's order") {
  for (const Crowd crowd : kCrowds) {
    for (const std::uint64_t slots : {2U, 64U, 1024U}) {
      CAPTURE(crowd.producers);
      CAPTURE(slots);
      const MpmcBlocks blocks({slots, crowd.producers + crowd.consumers, 32});
      std::vector<MpmcProducer> in;
      std::vector<MpmcConsumer> out;
      for (std::uint32_t i = 1; i <= blocks.geometry.participant_count; ++i) {
        if (i <= crowd.producers) {
          in.push_back(MpmcProducer::attach(blocks.shared(), i, blocks.geometry).value());
        } else {
          out.push_back(MpmcConsumer::attach(blocks.shared(), i, blocks.geometry).value());
        }
      }
      run_threads(
          crowd.producers, crowd.consumers,
          [&](std::uint32_t i, std::uint32_t number) {
            return number % 3 == 0 ? in[i].try_push_batch(std::span(&number, 1)) == 1
                                   : in[i].try_push(number) == Transfer::kDone;
          },
          [&](std::uint32_t i) -> std::uint64_t {
            std::uint32_t number = 0;
            return out[i].try_pop(number) == Transfer::kDone ? number : UINT64_MAX;
          });
    }
  }
}

TEST_CASE("mpmc stress: exchanged buffers come whole, once, and in each producer's order") {
  for (const Crowd crowd : kCrowds) {
    for (const std::uint64_t slots : {2U, 64U}) {
      CAPTURE(crowd.producers);
      CAPTURE(slots);
      const ExchangeBlocks blocks({slots, crowd.producers + crowd.consumers, 64});
      std::vector<ExchangeProducer> in;
      std::vector<ExchangeConsumer> out;
      for (std::uint32_t i = 1; i <= blocks.geometry.participant_count; ++i) {
        if (i <= crowd.producers) {
          in.push_back(ExchangeProducer::attach(blocks.shared(), i, blocks.geometry).value());
        } else {
          out.push_back(ExchangeConsumer::attach(blocks.shared(), i, blocks.geometry).value());
        }
      }
      run_threads(
          crowd.producers, crowd.consumers,
          [&](std::uint32_t i, std::uint32_t number) {
            std::array<std::byte, 64> message{};
            write_pattern(message, number);
            std::memcpy(message.data(), &number, sizeof number);
            return in[i].try_push(message) == Transfer::kDone;
          },
          [&](std::uint32_t i) -> std::uint64_t {
            std::span<const std::byte> message;
            if (out[i].try_take(message) != Transfer::kDone) return UINT64_MAX;
            std::uint32_t number = 0;
            std::memcpy(&number, message.data(), sizeof number);
            std::array<std::byte, 64> wanted{};
            write_pattern(wanted, number);
            const bool is_whole = std::equal(wanted.begin() + 4, wanted.end(), message.begin() + 4);
            return is_whole ? number : std::uint64_t{UINT32_MAX};
          });
    }
  }
}

}  // namespace
}  // namespace slipring

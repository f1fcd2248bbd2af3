// Threads on one pool; every word of every buffer is compared.  Handles travel through relaxed
// words, so that nothing but the pool orders the bytes: run it with --config=tsan, which sees a
// missing order that an x86 does not show.

#include <doctest/doctest.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "core/pool/pool_recovery.h"
#include "core/pool/shared_pool.h"
#include "tests/core/pool/shared_pool_memory.h"

namespace slipring {
namespace {

using Blocks = SharedPoolBlocks<StdAtomics>;

constexpr std::uint32_t kBufferBytes = 256;
constexpr std::uint64_t kMoveCount = 100'000;

// Places that hold a handle each; 0 is empty.  relaxed, all: the pool is to order the bytes.
class Mailboxes {
 public:
  bool put(const PoolHandle& handle, std::uint64_t hint) {
    std::uint64_t empty = 0;
    return places_[hint % places_.size()].compare_exchange_strong(
        empty, handle.bits, std::memory_order_relaxed, std::memory_order_relaxed);
  }
  PoolHandle take(std::uint64_t hint) {
    return {places_[hint % places_.size()].exchange(0, std::memory_order_relaxed)};
  }
  [[nodiscard]] PoolHandle look(std::uint64_t hint) const {
    return {places_[hint % places_.size()].load(std::memory_order_relaxed)};
  }
  void show(const PoolHandle& handle, std::uint64_t hint) {
    places_[hint % places_.size()].store(handle.bits, std::memory_order_relaxed);
  }

 private:
  std::array<std::atomic<std::uint64_t>, 8> places_{};
};

void fill_words(std::span<std::byte> bytes, std::uint64_t number) {
  for (std::size_t at = 0; at < bytes.size(); at += 8) {
    const std::uint64_t word = number + at;
    std::memcpy(bytes.data() + at, &word, 8);
  }
}

// Whether all words belong to one filling.
bool is_whole(std::span<const std::byte> bytes) {
  std::uint64_t first = 0;
  std::memcpy(&first, bytes.data(), 8);
  for (std::size_t at = 0; at < bytes.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, 8);
    if (word != first + at) return false;
  }
  return true;
}

struct Outcome {
  std::uint64_t done_count = 0;
  std::uint64_t missed_count = 0;
  std::uint64_t wrong_count = 0;
  bool gave_up = false;
};

// Spreads the threads over the processors that there are: new ones tend to stay together for as
// long as the test lasts, and then nothing happens at the same time.
void spread(std::uint32_t number) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  std::uint32_t left = number % static_cast<std::uint32_t>(CPU_COUNT(&allowed));
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || left-- != 0) continue;
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(cpu, &own);
    (void)sched_setaffinity(0, sizeof own, &own);  // without it the test is weaker, not wrong
    return;
  }
}

// Runs `body(participant, outcome)` in a thread each, over and over, until it has done kMoveCount
// things or two minutes have passed.
template <typename Body>
std::vector<Outcome> run(std::uint32_t thread_count, Body body) {
  std::vector<Outcome> outcomes(thread_count);
  std::atomic<std::uint32_t> finished_count = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < thread_count; ++i) {
    threads.emplace_back([&, i] {
      spread(i);
      Outcome outcome;
      bool has_finished = false;
      // relaxed: counted only to end together, so that the last one still finds its peers.
      while (finished_count.load(std::memory_order_relaxed) != thread_count && !outcome.gave_up) {
        for (std::uint32_t turn = 0; turn < 256; ++turn) body(i, outcome);
        std::this_thread::yield();
        outcome.gave_up = std::chrono::steady_clock::now() > deadline;
        if (outcome.done_count >= kMoveCount && !has_finished) {
          has_finished = true;
          finished_count.fetch_add(1, std::memory_order_relaxed);  // relaxed: as above
        }
      }
      outcomes[i] = outcome;
    });
  }
  for (std::thread& thread : threads) thread.join();
  return outcomes;
}

TEST_CASE("shared_pool: threads that hand buffers on find every byte as it was sent") {
  for (const std::uint32_t buffer_count : {8U, 64U}) {
    Blocks blocks({buffer_count, 4, kBufferBytes});
    Mailboxes mail;
    std::vector<SharedPool> pools;
    for (std::uint32_t i = 0; i < 4; ++i) pools.push_back(blocks.attach(i));
    const auto body = [&](std::uint32_t who, Outcome& outcome) {
      SharedPool& pool = pools[who];
      const std::uint64_t turn = outcome.done_count + outcome.missed_count;
      PoolHandle handle;
      if (turn % 2 == 0 && pool.try_acquire(handle) == Transfer::kDone) {
        fill_words(pool.bytes(handle), turn * 131 + who);
        const auto publish = [&](const PoolHandle& sent) {
          return mail.put(sent, turn / 2) ? Transfer::kDone : Transfer::kBlocked;
        };
        if (pool.send(handle, 0, publish) != Transfer::kDone) pool.give_back(handle);
      }
      handle = mail.take(turn * 7 + who);
      if (handle.is_null()) {
        ++outcome.missed_count;
        return;
      }
      ++outcome.done_count;
      outcome.wrong_count += pool.claim(handle) ? 0U : 1U;
      outcome.wrong_count += is_whole(pool.bytes(handle)) ? 0U : 1U;
      outcome.wrong_count += pool.claim(handle) ? 1U : 0U;
      outcome.wrong_count += pool.give_back(handle) ? 0U : 1U;
    };
    Outcome all;
    for (const Outcome& outcome : run(4, body)) {
      all.done_count += outcome.done_count;
      all.wrong_count += outcome.wrong_count;
      CHECK_FALSE(outcome.gave_up);
    }
    for (SharedPool& pool : pools) pool.return_cache();
    std::uint32_t left_count = 0;
    for (std::uint64_t place = 0; place < 8; ++place) {
      left_count += mail.look(place).is_null() ? 0U : 1U;
    }
    const PoolCensus census = blocks.census();
    MESSAGE(buffer_count, " buffers: ", all.done_count, " moves, ", all.wrong_count, " wrong; ",
            census.free, " free, ", census.in_flight, " in flight");
    CHECK(all.wrong_count == 0);
    CHECK(census.in_flight == left_count);
    CHECK(census.free + census.in_flight == buffer_count);
  }
}

// `place_count` buffers are on show; with one, and hardly more buffers than that, each is filled
// again as soon as its sharing has ended.
void read_together(std::uint32_t buffer_count, std::uint64_t place_count) {
  Blocks blocks({buffer_count, 4, kBufferBytes});
  Mailboxes board;
  std::vector<SharedPool> pools;
  for (std::uint32_t i = 0; i < 4; ++i) pools.push_back(blocks.attach(i));
  std::uint64_t turn = 0;
  const auto body = [&](std::uint32_t who, Outcome& outcome) {
    SharedPool& pool = pools[who];
    PoolHandle handle;
    if (who == 0) {
      if (pool.try_acquire(handle) != Transfer::kDone) {
        ++outcome.missed_count;
        return;
      }
      fill_words(pool.bytes(handle), ++turn * 131);
      const PoolHandle old = board.look(turn % place_count);
      board.show(pool.share(handle), turn % place_count);
      if (!old.is_null() && !pool.retire(old)) ++outcome.wrong_count;
      if (place_count == 1) pool.reclaim();
      ++outcome.done_count;
      return;
    }
    handle = board.look((outcome.done_count + outcome.missed_count) % place_count);
    if (handle.is_null() || !pool.hold(handle)) {
      ++outcome.missed_count;
      return;
    }
    ++outcome.done_count;
    for (std::uint32_t look = 0; look < 4; ++look) {
      outcome.wrong_count += is_whole(pool.view(handle)) ? 0U : 1U;
    }
    outcome.wrong_count += pool.let_go(handle) ? 0U : 1U;
  };
  Outcome all;
  for (const Outcome& outcome : run(4, body)) {
    all.done_count += outcome.done_count;
    all.missed_count += outcome.missed_count;
    all.wrong_count += outcome.wrong_count;
    CHECK_FALSE(outcome.gave_up);
  }
  MESSAGE(place_count, " of ", buffer_count, " on show: ", all.done_count,
          " fillings and readings, ", all.missed_count, " too late, ", all.wrong_count, " wrong");
  CHECK(all.wrong_count == 0);
  for (std::uint64_t place = 0; place < place_count; ++place) {
    CHECK(pools[0].retire(board.look(place)));
  }
  pools[0].reclaim();
  for (SharedPool& pool : pools) pool.return_cache();
  CHECK(blocks.census().free == buffer_count);
}

TEST_CASE("shared_pool: threads that read together never see a buffer change under a hold") {
  read_together(16, 8);
  read_together(3, 1);
}

}  // namespace
}  // namespace slipring

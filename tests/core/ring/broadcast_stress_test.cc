// A writer and two readers as threads on one mapping; every loss is counted and every word of every
// payload checked.  Run it with --config=tsan.

#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "core/cpu/relax.h"
#include "core/ring/broadcast_ring.h"
#include "tests/core/ring/broadcast_memory.h"
#include "tests/core/ring/patience.h"

namespace slipring {
namespace {

constexpr std::uint64_t kMessageCount = 20'000;
constexpr std::uint32_t kReaders = 2;
constexpr std::uint64_t kTriesAYield = 64;  // there are more threads than processors
constexpr std::uint64_t kStart = (std::uint64_t{1} << 32) - 1000;

void fill_words(std::span<std::byte> message, std::uint64_t number) {
  for (std::size_t i = 0; i + 8 <= message.size(); i += 8) {
    const std::uint64_t word = number * 31 + i;
    std::memcpy(message.data() + i, &word, 8);
  }
}

bool words_are(std::span<const std::byte> message, std::uint64_t number) {
  for (std::size_t i = 0; i + 8 <= message.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, message.data() + i, 8);
    if (word != number * 31 + i) return false;
  }
  return true;
}

// What a reader found.
struct Outcome {
  std::uint64_t delivered = 0;
  std::uint64_t lost = 0;
  std::uint64_t wrong = 0;
  std::uint64_t evicted = 0;
  std::uint64_t joined = 0;
  std::uint64_t overtaken = 0;  // views that were overwritten while they were copied
  bool gave_up = false;
};

// Reads until the last position, and joins again when it was put out.
void read_all(BroadcastReader& reader, bool is_in_place, Outcome& outcome) {
  std::vector<std::byte> message(reader.slot_bytes());
  std::uint64_t next = kStart;
  Patience patience(kTriesAYield);
  while (next != kStart + kMessageCount) {
    BroadcastView view;
    const Reception answer = is_in_place ? reader.try_peek(view) : reader.try_pop(message, view);
    if (answer == Reception::kEvicted) {
      ++outcome.evicted;
      if (!reader.join(BroadcastJoin::kOldest)) ++outcome.wrong;
      continue;
    }
    if (answer == Reception::kCorruptPeer) ++outcome.wrong;
    if (answer != Reception::kDone) {
      if (patience.wait()) continue;
      outcome.gave_up = true;
      return;
    }
    patience.moved();
    if (view.position != next + view.lost) ++outcome.wrong;
    next = view.position + 1;
    outcome.lost += view.lost;
    const std::uint64_t number = view.position - kStart;
    if (is_in_place) {
      const bool is_whole =
          view.is_stable ? words_are(view.message, number) : reader.copy_out(view, message);
      if (!is_whole && view.is_stable) ++outcome.wrong;
      if (!view.is_stable && is_whole && !words_are(message, number)) ++outcome.wrong;
      if (!is_whole) ++outcome.overtaken;
      reader.release(view);
    } else if (!words_are(message, number)) {
      ++outcome.wrong;
    }
    ++outcome.delivered;
  }
}

void stress(BroadcastPolicy policy, std::uint64_t slot_count, std::uint32_t slot_bytes) {
  const std::uint64_t lag = policy == BroadcastPolicy::kEvict ? (slot_count + 1) / 2 : 0;
  BroadcastMemory memory({slot_count, slot_bytes, kStart, kReaders, policy, lag});
  BroadcastWriter writer = memory.writer();
  std::vector<Outcome> outcomes(kReaders);
  std::vector<BroadcastReader> readers;
  for (std::uint32_t i = 0; i < kReaders; ++i) {
    readers.push_back(memory.member(i, BroadcastJoin::kNewest));
  }
  std::vector<std::thread> threads;
  std::atomic<std::uint32_t> ready_count = 0;
  for (std::uint32_t i = 0; i < kReaders; ++i) {
    threads.emplace_back([&, i] {
      ready_count.fetch_add(1, std::memory_order_relaxed);
      read_all(readers[i], i == 1, outcomes[i]);
    });
  }
  while (ready_count.load(std::memory_order_relaxed) != kReaders) relax();
  std::vector<std::byte> message(slot_bytes);
  std::uint64_t blocked_count = 0;
  bool gave_up = false;
  Patience patience(kTriesAYield);
  for (std::uint64_t i = 0; i < kMessageCount && !gave_up;) {
    fill_words(message, i);
    const Transfer answer = writer.try_push(message);
    REQUIRE(answer != Transfer::kCorruptPeer);
    if (answer == Transfer::kDone) {
      ++i;
      patience.moved();
      if (policy != BroadcastPolicy::kBlock && i % (slot_count / 2) == 0) {
        std::this_thread::yield();
      }
    } else {
      ++blocked_count;
      gave_up = !patience.wait();
    }
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_FALSE(gave_up);
  for (std::uint32_t i = 0; i < kReaders; ++i) {
    const Outcome& outcome = outcomes[i];
    MESSAGE(std::string(name_of(policy)), " ", slot_count, " × ", slot_bytes, " B, reader ", i,
            ": ", outcome.delivered, " delivered, ", outcome.lost, " lost and counted, ",
            outcome.evicted, " evictions, ", outcome.overtaken, " overtaken, writer blocked ",
            blocked_count, ", wrong ", outcome.wrong);
    CHECK_FALSE(outcome.gave_up);
    CHECK(outcome.wrong == 0);
    CHECK(outcome.delivered + outcome.lost == kMessageCount);
    CHECK(readers[i].lost_count() == outcome.lost);
    if (policy == BroadcastPolicy::kBlock) CHECK(outcome.lost == 0);
    CHECK((blocked_count == 0 || policy == BroadcastPolicy::kBlock));
  }
}

void stress_all(BroadcastPolicy policy) {
  for (const std::uint64_t count : {2U, 16U, 1024U}) {
    for (const std::uint32_t bytes : {8U, 56U, 1024U}) stress(policy, count, bytes);
  }
}

TEST_CASE("broadcast stress: overwritten messages are counted, all others are whole") {
  stress_all(BroadcastPolicy::kOverwrite);
}

TEST_CASE("broadcast stress: blocking loses nothing") {
  stress_all(BroadcastPolicy::kBlock);
}

TEST_CASE("broadcast stress: who is evicted counts its loss and goes on") {
  stress_all(BroadcastPolicy::kEvict);
}

// Joins, takes a few messages and leaves, again and again.
void come_and_go(BroadcastReader& reader, BroadcastJoin at, const std::atomic<bool>& stop,
                 std::atomic<std::uint32_t>& here_count, Outcome& outcome) {
  std::vector<std::byte> message(reader.slot_bytes());
  Patience patience(kTriesAYield);
  for (std::uint64_t round = 0; !stop.load(std::memory_order_relaxed); ++round) {
    if (!reader.join(at)) ++outcome.wrong;
    if (outcome.joined++ == 0) here_count.fetch_add(1, std::memory_order_relaxed);
    bool is_promised = at == BroadcastJoin::kNewest;
    for (std::uint64_t taken = 0; taken < round % 9 && !stop.load(std::memory_order_relaxed);) {
      BroadcastView view;
      const Reception answer = reader.try_pop(message, view);
      if (answer == Reception::kBlocked && patience.wait()) continue;
      outcome.gave_up |= answer == Reception::kBlocked;
      patience.moved();
      if (answer != Reception::kDone || (is_promised && view.lost != 0) ||
          !words_are(message, view.position - kStart)) {
        ++outcome.wrong;
        break;
      }
      is_promised |= view.is_stable;
      ++outcome.delivered;
      ++taken;
    }
    reader.leave();
  }
}

// Readers come and go while the writer runs at the limit: what was promised to a member is there.
TEST_CASE(
    "broadcast stress: joining and leaving a blocking writer never loses a promised message") {
  BroadcastMemory memory({4, 16, kStart, kReaders, BroadcastPolicy::kBlock, 0});
  BroadcastWriter writer = memory.writer();
  std::atomic<bool> stop = false;
  std::atomic<std::uint32_t> here_count = 0;
  std::vector<Outcome> outcomes(kReaders);
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < kReaders; ++i) {
    threads.emplace_back([&, i] {
      BroadcastReader reader = memory.reader(i);
      come_and_go(reader, i == 0 ? BroadcastJoin::kNewest : BroadcastJoin::kOldest, stop,
                  here_count, outcomes[i]);
    });
  }
  std::vector<std::byte> message(16);
  std::uint64_t pushed = 0;
  std::uint64_t blocked = 0;
  Patience patience(kTriesAYield);
  while (here_count.load(std::memory_order_relaxed) < kReaders && patience.wait()) {
  }
  while (pushed < kMessageCount) {
    fill_words(message, pushed);
    const Transfer answer = writer.try_push(message);
    CHECK(answer != Transfer::kCorruptPeer);
    if (answer == Transfer::kDone) {
      ++pushed;
      patience.moved();
    } else {
      ++blocked;
      if (!patience.wait()) break;
    }
  }
  stop.store(true, std::memory_order_relaxed);
  for (std::thread& thread : threads) thread.join();
  for (std::uint32_t i = 0; i < kReaders; ++i) {
    MESSAGE("reader ", i, ": ", outcomes[i].joined, " times joined, ", outcomes[i].delivered,
            " delivered, writer blocked ", blocked, ", wrong ", outcomes[i].wrong);
    CHECK_FALSE(outcomes[i].gave_up);
    CHECK(outcomes[i].wrong == 0);
    CHECK(outcomes[i].joined > 0);
  }
  CHECK(pushed == kMessageCount);
}

}  // namespace
}  // namespace slipring

// A writer or a reader that writes anything it may write, at any time: no access outside the ring,
// no stop, no endless call, and honest readers beside a lying one lose nothing.  The blocks have
// their exact sizes; run it with --config=asan.

#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "core/ring/broadcast_ring.h"
#include "tests/core/ring/broadcast_memory.h"

namespace slipring {
namespace {

constexpr std::uint64_t kSlots = 8;
constexpr std::uint32_t kBytes = 21;

// What an attacker would try first, around a value that is right now.
std::vector<std::uint64_t> interesting(std::uint64_t right) {
  std::vector<std::uint64_t> values{0,
                                    1,
                                    2,
                                    3,
                                    right ^ (std::uint64_t{1} << 63),
                                    std::uint64_t{1} << 32,
                                    UINT32_MAX,
                                    INT64_MAX,
                                    std::uint64_t{1} << 63,
                                    (std::uint64_t{1} << 62) - 1,
                                    std::uint64_t{1} << 62,
                                    UINT64_MAX,
                                    UINT64_MAX - 1,
                                    UINT64_MAX - right};
  for (std::uint64_t near = 0; near <= 2 * kSlots + 1; ++near) {
    values.push_back(right + near);
    values.push_back(right - near);
  }
  return values;
}

BroadcastGeometry shape(BroadcastPolicy policy, std::uint64_t start) {
  return {kSlots, kBytes, start, 3, policy, policy == BroadcastPolicy::kEvict ? kSlots / 2 : 0};
}

// All that a reader can do, as often as a ring could need; a successor must be able to follow it.
void exercise_reader(BroadcastMemory& memory, BroadcastReader& reader) {
  std::vector<std::byte> message(kBytes);
  for (std::uint64_t i = 0; i < 2 * kSlots + 2; ++i) {
    static_cast<void>(reader.has_message());
    static_cast<void>(reader.has_abort());
    BroadcastView view;
    const Reception answer = i % 2 == 0 ? reader.try_peek(view) : reader.try_pop(message, view);
    if (answer == Reception::kEvicted) {
      if (!reader.join(i % 4 == 0 ? BroadcastJoin::kNewest : BroadcastJoin::kOldest)) return;
      continue;
    }
    if (answer != Reception::kDone) break;
    if (i % 2 == 0) {
      REQUIRE(memory.slots.contains(view.message));
      static_cast<void>(reader.copy_out(view, message));
    }
    if (i % 3 == 2) reader.release(view);
  }
  if (reader.position() == reader.done()) static_cast<void>(reader.skip_aborted());
  reader.publish_credit();
}

TEST_CASE("hostile broadcast: any value in any word of the writer's memory") {
  std::uint64_t attack_count = 0;
  for (const BroadcastPolicy policy : kAllPolicies) {
    for (const std::uint64_t start :
         {std::uint64_t{0}, (std::uint64_t{1} << 32) - 3, (std::uint64_t{1} << 63) - 3}) {
      for (const std::uint64_t filled : {0U, 3U, 8U, 21U}) {
        for (std::uint64_t word = 0; word < 5 + kSlots; ++word) {
          const bool is_state = word >= 5;
          const std::uint64_t right =
              is_state ? 2 * (filled < kSlots ? filled : filled - kSlots) + 2 : start + filled;
          for (const std::uint64_t value : interesting(right)) {
            BroadcastMemory memory(shape(policy, start));
            BroadcastWriter writer = memory.writer();
            BroadcastReader reader = memory.member(0, BroadcastJoin::kNewest);
            for (std::uint64_t i = 0; i < filled; ++i) static_cast<void>(push_pattern(writer));
            std::atomic<std::uint64_t>& target = word == 0   ? memory.writer_page->tail
                                                 : word == 1 ? memory.writer_page->scan_at
                                                 : word == 2 ? memory.writer_page->abort_before
                                                 : word == 3 ? memory.writer_page->put_out[0]
                                                 : word == 4 ? memory.writer_page->missing_before
                                                             : memory.state(word - 5);
            target.store(value, std::memory_order_relaxed);
            exercise_reader(memory, reader);
            if (Result<BroadcastReader> next = memory.try_reader(0); next && next->is_member()) {
              exercise_reader(memory, next.value());
            }
            BroadcastReader late = memory.reader(1);
            if (late.join(BroadcastJoin::kOldest)) exercise_reader(memory, late);
            ++attack_count;
          }
        }
      }
    }
  }
  MESSAGE("attacks: ", attack_count);
  CHECK(attack_count == 3 * 3 * 4 * 13 * 50);
}

// A ring that has been filled, with a member 2 whose page is about to lie and an honest member 0.
struct ReaderAttack {
  ReaderAttack(BroadcastPolicy policy, std::uint64_t start, std::uint64_t filled)
      : memory(shape(policy, start)), next(start) {
    static_cast<void>(memory.member(2, BroadcastJoin::kNewest));
    REQUIRE(honest.join(BroadcastJoin::kNewest).ok());
    for (std::uint64_t i = 0; i < filled; ++i) {
      REQUIRE(push_pattern(writer) == Transfer::kDone);
      drain();
    }
  }

  // The honest reader gets everything.
  void drain() {
    std::vector<std::byte> message(kBytes);
    BroadcastView view;
    while (honest.try_pop(message, view) == Reception::kDone) {
      REQUIRE(view.lost == 0);
      REQUIRE(view.position == next++);
      REQUIRE(has_pattern(message, view.position));
    }
    REQUIRE(next == writer.position());
  }

  // All that a writer can do, for more laps than the lie can last.
  void run() {
    for (std::uint64_t i = 0; i < 3 * kSlots; ++i) {
      static_cast<void>(writer.has_space());
      const Transfer answer = push_pattern(writer);
      if (answer == Transfer::kCorruptPeer) REQUIRE(writer.corrupt_reader() == 2);
      if (answer == Transfer::kBlocked) REQUIRE(writer.policy() == BroadcastPolicy::kBlock);
      named_count += answer == Transfer::kCorruptPeer ? 1U : 0U;
      blocked_count += answer == Transfer::kBlocked ? 1U : 0U;
      drain();
    }
    REQUIRE(named_count <= 1);
    if (Result<BroadcastReader> heir = memory.try_reader(2); heir && heir->is_member()) {
      exercise_reader(memory, heir.value());
    }
    writer = memory.writer();
    static_cast<void>(push_pattern(writer));
    drain();
    writer.exclude(2);
    for (std::uint64_t i = 0; i < 2 * kSlots; ++i) {
      REQUIRE(push_pattern(writer) != Transfer::kBlocked);
      drain();
    }
  }

  BroadcastMemory memory;
  BroadcastWriter writer = memory.writer();
  BroadcastReader honest = memory.reader(0);
  std::uint64_t next;
  std::uint64_t named_count = 0;
  std::uint64_t blocked_count = 0;
};

TEST_CASE("hostile broadcast: any value in any word of a reader's page") {
  std::uint64_t attack_count = 0;
  std::uint64_t named_count = 0;
  std::uint64_t blocked_count = 0;
  for (const BroadcastPolicy policy : {BroadcastPolicy::kBlock, BroadcastPolicy::kEvict}) {
    for (const std::uint64_t start :
         {std::uint64_t{0}, (std::uint64_t{1} << 32) - 3, (std::uint64_t{1} << 63) - 3}) {
      for (const std::uint64_t filled : {0U, 3U, 4U, 8U}) {
        for (int word = 0; word < 4; ++word) {
          for (const std::uint64_t value : interesting(start + filled)) {
            ReaderAttack attack(policy, start, filled);
            BroadcastReaderPage& page = *attack.memory.reader_pages[2];
            (word == 0   ? page.credit
             : word == 1 ? page.joined
             : word == 2 ? page.done
                         : page.taken)
                .store(value, std::memory_order_relaxed);
            attack.run();
            named_count += attack.named_count;
            blocked_count += attack.blocked_count;
            ++attack_count;
          }
        }
      }
    }
  }
  MESSAGE("attacks: ", attack_count, ", named ", named_count, ", blocked ", blocked_count);
  CHECK(attack_count == 2 * 3 * 4 * 4 * 50);
  CHECK(named_count > 0);
  CHECK(blocked_count > 0);
}

TEST_CASE("hostile broadcast: scribbling that goes on while the others work") {
  std::uint64_t delivered_count = 0;
  for (const BroadcastPolicy policy : kAllPolicies) {
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      CAPTURE(seed);
      std::mt19937_64 random(seed);
      BroadcastMemory memory(shape(policy, seed * 7919));
      BroadcastWriter writer = memory.writer();
      BroadcastReader honest = memory.member(0, BroadcastJoin::kNewest);
      std::vector<std::byte> message(kBytes);
      std::uint64_t next = seed * 7919;
      for (int i = 0; i < 20'000; ++i) {
        BroadcastReaderPage& page = *memory.reader_pages[1 + random() % 2];
        const std::uint64_t near = writer.position() + random() % 32 - 16;
        const std::uint64_t value = random() % 4 == 0 ? random() : near;
        switch (random() % 5) {
          case 0:
            page.credit.store(value, std::memory_order_relaxed);
            break;
          case 1:
            page.done.store(value, std::memory_order_relaxed);
            break;
          case 2:
            page.joined.store(random() % 8, std::memory_order_relaxed);
            break;
          default:
            static_cast<void>(push_pattern(writer));
        }
        BroadcastView view;
        if (honest.try_pop(message, view) != Reception::kDone) continue;
        REQUIRE(view.position == next++);
        REQUIRE(has_pattern(message, view.position));
        ++delivered_count;
      }
    }
  }
  MESSAGE("delivered: ", delivered_count);
  CHECK(delivered_count > 10'000);
}

TEST_CASE("hostile broadcast: a writer that runs without end does not keep a reader for ever") {
  BroadcastMemory memory(shape(BroadcastPolicy::kOverwrite, 0));
  static_cast<void>(memory.writer());
  BroadcastReader reader = memory.member(0, BroadcastJoin::kNewest);
  // Every slot says that it has been lapped, further with each: no jump lands on a message.
  for (std::uint64_t i = 0; i < kSlots; ++i) {
    memory.state(i).store(2 * (i + (kSlots << (4 * i + 4))) + 2, std::memory_order_relaxed);
  }
  memory.writer_page->tail.store(std::uint64_t{1} << 61, std::memory_order_relaxed);
  std::vector<std::byte> message(kBytes);
  BroadcastView view;
  std::uint64_t done_count = 0;
  for (int i = 0; i < 100; ++i) {
    done_count += reader.try_pop(message, view) == Reception::kDone ? 1U : 0U;
  }
  CHECK(done_count <= kSlots);
}

TEST_CASE(
    "hostile broadcast: a writer that takes an eviction back does not stop who was told of it") {
  BroadcastMemory memory(shape(BroadcastPolicy::kEvict, 0));
  static_cast<void>(memory.writer());
  BroadcastReader reader = memory.member(0, BroadcastJoin::kNewest);
  std::atomic<std::uint64_t>& put_out = memory.writer_page->put_out[0];
  put_out.store(1, std::memory_order_relaxed);
  BroadcastView view;
  REQUIRE(reader.try_peek(view) == Reception::kEvicted);
  put_out.store(0, std::memory_order_relaxed);
  CHECK(reader.join(BroadcastJoin::kNewest).ok());
  CHECK(reader.is_member());
}

// `taken` is kept by distance; a cursor so far from it would be refused to every successor.
TEST_CASE("hostile broadcast: a reader follows no writer further than anybody publishes") {
  for (const std::uint64_t start : {std::uint64_t{0}, std::uint64_t{1} << 63}) {
    BroadcastMemory memory(shape(BroadcastPolicy::kOverwrite, start));
    static_cast<void>(memory.writer());
    BroadcastReader reader = memory.member(0, BroadcastJoin::kNewest);
    BroadcastView view;
    for (const std::uint64_t far : {std::uint64_t{1} << 61, std::uint64_t{3} << 61}) {
      memory.writer_page->tail.store(start + far, std::memory_order_relaxed);
      memory.state(reader.position())
          .store(2 * (reader.position() - start + far) + 2, std::memory_order_relaxed);
      static_cast<void>(reader.try_peek(view));
      memory.writer_page->abort_before.store(start + far + 1, std::memory_order_relaxed);
      memory.state(start + far).store(2 * far + 2, std::memory_order_relaxed);
      if (reader.position() == reader.done()) static_cast<void>(reader.skip_aborted());
    }
    CHECK(reader.done() - start < std::uint64_t{1} << 62);
    memory.writer_page->tail.store(reader.position(), std::memory_order_relaxed);
    CHECK(memory.try_reader(0).ok());
  }
}

}  // namespace
}  // namespace slipring

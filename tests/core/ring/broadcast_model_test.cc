// The broadcast ring against an oracle that knows only positions.  Random operations by a writer
// and three readers, deaths of either included, on many geometries; the seed of a failure is
// printed.  Every answer is predicted, every loss to the message.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "core/ring/broadcast_ring.h"
#include "tests/core/ring/broadcast_memory.h"

namespace slipring {
namespace {

constexpr std::uint32_t kReaders = 3;
constexpr std::uint64_t kFar = std::uint64_t{1} << 62;

struct Tally {
  std::uint64_t pushed = 0;
  std::uint64_t delivered = 0;
  std::uint64_t lost = 0;
  std::uint64_t blocked = 0;
  std::uint64_t evicted = 0;
  std::uint64_t joined = 0;
  std::uint64_t deaths = 0;
  std::uint64_t redelivered = 0;
};

// What is to be expected of one reader.
struct Expected {
  bool is_member = false;
  bool is_out = false;     // put out by the writer, and has not joined again
  std::uint64_t next = 0;  // the message it is owed next
  std::uint64_t done = 0;
  std::uint64_t taken = 0;  // by it or by a predecessor
  std::uint64_t safe_from = 0;
  std::uint64_t lost = 0;         // in all
  std::uint64_t lost_before = 0;  // to be reported with the next message
  std::vector<BroadcastView> held;
};

class Walk {
 public:
  Walk(std::uint64_t seed, const BroadcastGeometry& geometry, Tally& tally)
      : random_(seed),
        geometry_(geometry),
        memory_(geometry),
        position_(geometry.start_position),
        tally_(tally),
        writer_(memory_.writer()) {
    for (std::uint32_t i = 0; i < kReaders; ++i) readers_[i].emplace(memory_.reader(i));
  }

  void step() {
    const auto reader = static_cast<std::uint32_t>(random_() % kReaders);
    switch (random_() % 24) {
      default:
        return push();
      case 8:
      case 9:
      case 10:
      case 11:
      case 12:
        return pop(reader);
      case 13:
      case 14:
        return peek(reader);
      case 15:
      case 16:
        return release(reader);
      case 17:
        if (random_() % 4 == 0) leave(reader);
        return;
      case 18:
      case 19:
        return join(reader);
      case 20:
        if (random_() % 2 == 0) writer_dies();
        return;
      case 21:
        return reader_dies(reader);
      case 22:
        if (random_() % 8 == 0) drop(reader);
        return;
      case 23:
        if (random_() % 4 == 0 && readers_[reader]->is_member()) readers_[reader]->publish_credit();
    }
  }

 private:
  [[nodiscard]] bool is_gated() const { return geometry_.policy != BroadcastPolicy::kOverwrite; }
  [[nodiscard]] std::uint64_t credit_of(std::uint32_t i) const {
    return memory_.reader_pages[i]->credit.load(std::memory_order_relaxed);
  }
  [[nodiscard]] bool is_there(std::uint64_t position) const {
    const std::uint64_t behind = position_ - position;
    return behind < geometry_.slot_count || (behind == geometry_.slot_count && !is_half_written_);
  }

  void push() {
    bool is_blocked = false;
    for (std::uint32_t i = 0; i < kReaders; ++i) {
      Expected& reader = expected_[i];
      if (!reader.is_member || reader.is_out) continue;
      if (geometry_.policy == BroadcastPolicy::kBlock) {
        is_blocked |= position_ - credit_of(i) == geometry_.slot_count;
      } else if (geometry_.policy == BroadcastPolicy::kEvict) {
        const std::uint64_t behind =
            std::min(position_ - credit_of(i), position_ - std::max(reader.done, reader.safe_from));
        if (behind < geometry_.lag_limit) continue;
        reader.is_out = true;
        ++tally_.evicted;
      }
    }
    if (is_blocked) {
      REQUIRE(push_pattern(writer_) == Transfer::kBlocked);
      ++tally_.blocked;
      return;
    }
    REQUIRE(writer_.has_space());
    REQUIRE(push_pattern(writer_) == Transfer::kDone);
    ++position_;
    ++tally_.pushed;
    is_half_written_ = false;
    REQUIRE(writer_.position() == position_);
  }

  // What the next call of a member answers, after what it must leave behind.
  Reception expect(Expected& reader) {
    if (reader.is_out) return Reception::kEvicted;
    if (is_gated() && reader.next - reader.done >= geometry_.slot_count) return Reception::kBlocked;
    if (reader.next == position_) return Reception::kBlocked;
    if (!is_there(reader.next)) {
      const bool is_promised = is_gated() && reader.next - reader.safe_from < kFar;
      REQUIRE_FALSE(is_promised);
      std::uint64_t target = position_ - geometry_.slot_count + 1 + geometry_.slot_count / 8;
      if (is_gated() && target - reader.safe_from < kFar) target = reader.safe_from;
      reader.lost += target - reader.next;
      reader.lost_before += target - reader.next;
      tally_.lost += target - reader.next;
      reader.next = target;
      reader.done = target;
      reader.held.clear();
      if (target == position_) return Reception::kBlocked;
    }
    return Reception::kDone;
  }

  void check_view(Expected& reader, const BroadcastView& view) {
    REQUIRE(view.position == reader.next);
    REQUIRE(view.lost == reader.lost_before);
    REQUIRE(view.redelivered == (reader.taken - reader.next - 1 < kFar));
    REQUIRE(has_pattern(view.message, reader.next));
    tally_.redelivered += view.redelivered ? 1 : 0;
    reader.lost_before = 0;
    ++reader.next;
    ++tally_.delivered;
  }

  void pop(std::uint32_t i) {
    Expected& reader = expected_[i];
    if (!reader.is_member) return;
    std::vector<std::byte> message(geometry_.slot_bytes);
    BroadcastView view;
    const Reception wanted = expect(reader);
    REQUIRE(readers_[i]->try_pop(message, view) == wanted);
    REQUIRE(readers_[i]->lost_count() == reader.lost);
    if (wanted != Reception::kDone) return;
    check_view(reader, view);
    reader.done = reader.next;
    reader.taken = std::max(reader.taken, reader.next);
    reader.held.clear();
  }

  void peek(std::uint32_t i) {
    Expected& reader = expected_[i];
    if (!reader.is_member) return;
    BroadcastView view;
    const Reception wanted = expect(reader);
    REQUIRE(readers_[i]->try_peek(view) == wanted);
    if (wanted != Reception::kDone) return;
    REQUIRE(memory_.slots.contains(view.message));
    check_view(reader, view);
    reader.held.push_back(view);
  }

  void release(std::uint32_t i) {
    Expected& reader = expected_[i];
    if (reader.held.empty()) return;
    for (const BroadcastView& view : reader.held) {
      const bool is_valid = is_there(view.position);
      REQUIRE(readers_[i]->is_still_valid(view) == is_valid);
      if (is_valid) REQUIRE(has_pattern(view.message, view.position));
      if (view.is_stable && !reader.is_out) REQUIRE(is_valid);
    }
    const std::size_t count = random_() % reader.held.size() + 1;
    readers_[i]->release(reader.held[count - 1]);
    reader.done = reader.held[count - 1].position + 1;
    reader.taken = std::max(reader.taken, reader.next);
    reader.held.erase(reader.held.begin(),
                      reader.held.begin() + static_cast<std::ptrdiff_t>(count));
    REQUIRE(readers_[i]->done() == reader.done);
  }

  void leave(std::uint32_t i) {
    if (!expected_[i].is_member) return;
    readers_[i]->leave();
    const std::uint64_t lost = expected_[i].lost;
    expected_[i] = {};
    expected_[i].lost = lost;
  }

  void join(std::uint32_t i) {
    Expected& reader = expected_[i];
    if (reader.is_member && !reader.is_out) return;
    const bool is_oldest = random_() % 2 == 0;
    std::uint64_t next = position_;
    if (is_oldest) {
      next -= std::min(position_ - geometry_.start_position, geometry_.slot_count);
      if (next != position_ && !is_there(next)) ++next;
      if (reader.is_out) next = std::max(next, reader.next);
    }
    REQUIRE(readers_[i]->join(is_oldest ? BroadcastJoin::kOldest : BroadcastJoin::kNewest).ok());
    if (reader.is_out) {
      reader.lost += next - reader.next;
      reader.lost_before += next - reader.next;
      tally_.lost += next - reader.next;
    } else {
      reader.lost_before = 0;
    }
    // What a dead predecessor had taken stays taken for whoever comes back.
    reader.taken = reader.is_out ? std::max(reader.taken, next) : next;
    reader.is_member = true;
    reader.is_out = false;
    reader.next = next;
    reader.done = next;
    reader.safe_from = is_gated() ? credit_of(i) : next;
    reader.held.clear();
    REQUIRE(readers_[i]->position() == next);
    REQUIRE(readers_[i]->lost_count() == reader.lost);
    ++tally_.joined;
  }

  void writer_dies() {
    ++tally_.deaths;
    const std::uint64_t mark = 2 * (position_ - geometry_.start_position) + 1;
    switch (random_() % 3) {
      case 0:  // anywhere but in a message
        break;
      case 1:  // half-way through a message, which it had the room for
        if (geometry_.policy != BroadcastPolicy::kOverwrite) break;
        memory_.state(position_).store(mark, std::memory_order_relaxed);
        if (random_() % 2 == 0) (&memory_.state(position_))[1].store(~position_);
        is_half_written_ = true;
        break;
      case 2: {  // between publishing and storing tail
        const std::uint64_t before = position_;
        push();
        if (position_ != before) memory_.writer_page->tail.store(before);
        if (before == geometry_.start_position) memory_.writer_page->tail.store(0);
        break;
      }
    }
    BroadcastWriter next = memory_.writer();
    writer_ = next;
    REQUIRE(writer_.position() == position_);
  }

  void reader_dies(std::uint32_t i) {
    Expected& reader = expected_[i];
    ++tally_.deaths;
    reader.taken = std::max(reader.taken, reader.next);
    reader.next = reader.done;
    reader.lost_before = 0;
    reader.held.clear();
    if (reader.is_member && is_gated()) reader.safe_from = credit_of(i);
    if (random_() % 4 == 0 && !reader.is_member) {  // while joining
      const std::uint64_t joined = memory_.reader_pages[i]->joined.load();
      memory_.reader_pages[i]->joined.store(joined / 4 * 4 + 1);
    }
    readers_[i].emplace(memory_.reader(i));
    REQUIRE(readers_[i]->is_member() == reader.is_member);
    REQUIRE(readers_[i]->lost_count() == reader.lost);
  }

  void drop(std::uint32_t i) {
    writer_.drop_reader(i);
    expected_[i].is_out |= is_gated() && expected_[i].is_member;
  }

  std::mt19937_64 random_;
  BroadcastGeometry geometry_;
  BroadcastMemory memory_;
  std::uint64_t position_;  // published so far
  bool is_half_written_ = false;
  Tally& tally_;
  BroadcastWriter writer_;
  std::array<std::optional<BroadcastReader>, kReaders> readers_;
  std::array<Expected, kReaders> expected_;
};

void walk_all(BroadcastPolicy policy, int seed_count) {
  Tally tally;
  std::uint64_t walk_count = 0;
  for (int seed = 0; seed < seed_count; ++seed) {
    for (const std::uint64_t start :
         {std::uint64_t{0}, (std::uint64_t{1} << 32) - 20, (std::uint64_t{1} << 63) - 20}) {
      for (const std::uint64_t count : {2U, 4U, 16U}) {
        for (const std::uint32_t bytes : {8U, 21U}) {
          const std::uint64_t lag =
              policy == BroadcastPolicy::kEvict ? 1 + static_cast<std::uint64_t>(seed) % count : 0;
          CAPTURE(seed);
          CAPTURE(start);
          CAPTURE(count);
          Walk walk(static_cast<std::uint64_t>(seed) * 1000 + count + bytes,
                    {count, bytes, start, kReaders, policy, lag}, tally);
          for (int i = 0; i < 300; ++i) walk.step();
          ++walk_count;
        }
      }
    }
  }
  MESSAGE(std::string(name_of(policy)), ": ", walk_count, " walks, ", tally.pushed, " pushed, ",
          tally.delivered, " delivered, ", tally.lost, " lost and counted, ", tally.blocked,
          " times blocked, ", tally.evicted, " evictions, ", tally.joined, " joined, ",
          tally.deaths, " deaths, ", tally.redelivered, " redelivered");
  CHECK(tally.delivered > 0);
  CHECK(tally.lost > 0);
  CHECK(tally.redelivered > 0);
  CHECK((tally.blocked > 0) == (policy == BroadcastPolicy::kBlock));
  CHECK((tally.evicted > 0) == (policy == BroadcastPolicy::kEvict));
}

TEST_CASE("broadcast model: overwriting loses exactly what it says") {
  walk_all(BroadcastPolicy::kOverwrite, 100);
}

TEST_CASE(
    "broadcast model: blocking loses nothing that was promised, and blocks for nothing else") {
  walk_all(BroadcastPolicy::kBlock, 100);
}

TEST_CASE("broadcast model: eviction falls on who is beyond the limit, and on nobody else") {
  walk_all(BroadcastPolicy::kEvict, 100);
}

}  // namespace
}  // namespace slipring

// The typed ring against an oracle that a child could check: a deque.  Random operations, deaths
// included, on many geometries; the seed of a failure is printed.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "core/ring/spsc_ring.h"
#include "tests/core/ring/ring_memory.h"
#include "tests/core/ring/ring_walk.h"

namespace slipring {
namespace {

// The typed ring: values instead of views, so that the oracle is asked value by value.
class SpscWalk : public RingWalk<SpscWalk> {
 public:
  SpscWalk(std::uint64_t seed, const SpscGeometry& geometry) : RingWalk(seed), memory_(geometry) {}

  bool step_otherwise(std::uint64_t which) {
    const bool pops = which == 6 || which == 7;
    if (pops) pop();
    return pops;
  }

 private:
  friend class RingWalk<SpscWalk>;
  struct Value {
    std::array<std::byte, 20> bytes;
  };

  // One, a batch, or in place: what fits goes in, all at once.
  void push() {
    const std::uint64_t count = memory_.geometry.slot_count;
    const std::uint64_t room = count - oracle_.messages.size();
    REQUIRE(producer_.has_space() == (room != 0));
    std::vector<Value> values(random_() % (2 * count) + 1);
    if (random_() % 2 == 0) values.resize(1);
    for (std::size_t i = 0; i < values.size(); ++i) {
      write_pattern(values[i].bytes, oracle_.next_number + i);
    }
    std::size_t pushed = 0;
    const Transfer answer = push_values(values, pushed);
    REQUIRE(answer == (room != 0 ? Transfer::kDone : Transfer::kBlocked));
    if (room == 0) ++oracle_.blocked_count;
    REQUIRE(pushed <= room);
    for (std::size_t i = 0; i < pushed; ++i) oracle_.add(sizeof(Value), producer_.position());
  }
  Transfer push_values(std::span<const Value> values, std::size_t& pushed) {
    if (values.size() == 1) {
      const Transfer answer = producer_.try_push(values[0]);
      pushed = answer == Transfer::kDone ? 1 : 0;
      return answer;
    }
    if (random_() % 2 == 0) return producer_.try_push_batch(values, pushed);
    std::span<Value> slots;
    const Transfer answer = producer_.try_reserve(slots);
    if (answer != Transfer::kDone) return answer;
    pushed = std::min(values.size(), slots.size());
    std::copy_n(values.begin(), pushed, slots.begin());
    producer_.commit(pushed);
    return answer;
  }
  void take(const Value& value) {
    REQUIRE(oracle_.held_count < oracle_.messages.size());
    Published& wanted = oracle_.messages[oracle_.held_count++];
    REQUIRE(has_pattern(value.bytes, wanted.number));
    ++oracle_.delivered_count;
  }
  void pop() {
    if (oracle_.held_count != 0) return;
    std::vector<Value> values(random_() % 8 + 1);
    std::size_t popped = 0;
    const bool has_more = !oracle_.messages.empty();
    REQUIRE(consumer_.has_value() == has_more);
    Transfer answer = Transfer::kDone;
    if (values.size() == 1) {
      answer = consumer_.try_pop(values[0]);
      popped = answer == Transfer::kDone ? 1 : 0;
    } else {
      answer = consumer_.try_pop_batch(values, popped);
    }
    REQUIRE(answer == (has_more ? Transfer::kDone : Transfer::kBlocked));
    for (std::size_t i = 0; i < popped; ++i) take(values[i]);
    oracle_.finish(popped);
  }
  void peek() {
    std::span<const Value> values;
    const std::size_t first = oracle_.held_count;
    const bool has_more = first < oracle_.messages.size();
    REQUIRE(consumer_.has_value() == has_more);
    REQUIRE(consumer_.try_peek(values) == (has_more ? Transfer::kDone : Transfer::kBlocked));
    if (!has_more) return;
    REQUIRE(memory_.slots.contains(std::as_bytes(values)));
    for (const Value& value : values) {
      take(value);
      oracle_.messages[oracle_.held_count - 1].was_taken = true;
    }
  }
  void release() {
    if (oracle_.held_count == 0) return;
    const std::size_t count = random_() % oracle_.held_count + 1;
    consumer_.release(count);
    oracle_.finish(count);
    REQUIRE(producer_.position() - consumer_.done() == oracle_.messages.size());
  }
  void abort() {
    if (random_() % 2 == 0) {
      producer_.abort_published();
      oracle_.abort();
    } else if (oracle_.held_count == 0) {
      REQUIRE(consumer_.has_abort() ==
              (!oracle_.messages.empty() && oracle_.messages.front().is_aborted));
      REQUIRE(consumer_.skip_aborted() == oracle_.skip());
    }
  }
  void producer_dies() {
    const std::uint64_t position = producer_.position();
    producer_ = memory_.producer();
    REQUIRE(producer_.position() == position);
    ++oracle_.death_count;
  }
  void consumer_dies() {
    consumer_ = memory_.consumer();
    oracle_.consumer_dies();
    std::uint64_t taken_count = 0;
    for (const Published& message : oracle_.messages) taken_count += message.was_taken ? 1 : 0;
    REQUIRE(consumer_.redelivered_count() == taken_count);
  }

  SpscMemory<Value> memory_;
  SpscProducer<Value> producer_ = memory_.producer();
  SpscConsumer<Value> consumer_ = memory_.consumer();
};

TEST_CASE("model: the typed ring behaves as a deque, deaths and aborts included") {
  WalkTally tally;
  for (const std::uint64_t count : {1U, 2U, 3U, 5U, 7U, 8U, 64U, 100U}) {
    for (const std::uint64_t start :
         {std::uint64_t{0}, (std::uint64_t{1} << 32) - 50, (std::uint64_t{1} << 63) - 50}) {
      tally.walk<SpscWalk>(SpscGeometry{count, start});
    }
  }
  tally.check_busy(8);
}

}  // namespace
}  // namespace slipring

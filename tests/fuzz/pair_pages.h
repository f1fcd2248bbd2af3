// The two pages of a ring with one producer and one consumer, and what is asked of both its ends
// whatever the other side does.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "core/ring/cursor_page.h"
#include "tests/fuzz/access_script.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/guarded_block.h"

namespace slipring::fuzz {

// Where scenes begin: at nothing, where 32 bits end, and at the end of what is allowed.  Multiples
// of 8, as records want them.
inline constexpr std::array<std::uint64_t, 3> kStarts{0, (std::uint64_t{1} << 32) - 8,
                                                      (std::uint64_t{1} << 63) - 8};

// More than any call of an end on a ring of a few slots needs.
inline constexpr std::uint64_t kFewAccesses = 200;

struct PairPages {
  GuardedBlock producer_block{sizeof(ProducerPage)};
  GuardedBlock consumer_block{sizeof(ConsumerPage)};

  [[nodiscard]] ProducerPage& producer() const { return producer_block.as<ProducerPage>(); }
  [[nodiscard]] ConsumerPage& consumer() const { return consumer_block.as<ConsumerPage>(); }

  [[nodiscard]] static std::uint64_t peek(const std::atomic<std::uint64_t>& word) {
    return word.load(std::memory_order_relaxed);
  }
  static void poke(std::atomic<std::uint64_t>& word, std::uint64_t value) {
    word.store(value, std::memory_order_relaxed);
  }
  [[nodiscard]] static Store aim(std::atomic<std::uint64_t>& word, FuzzInput& input,
                                 std::uint64_t right, std::uint64_t lap) {
    return {&word, hostile_value(input, {peek(word), right, lap})};
  }

  // A producer that has published exactly what the consumer has looked at, for its successor.
  void make_producer_honest(std::uint64_t position) const {
    poke(producer().tail, position);
    poke(producer().abort_before, 0);
  }
  // A consumer that has finished everything, for the successor of a producer.
  void make_consumer_honest(std::uint64_t position) const {
    poke(consumer().credit, position);
    poke(consumer().done, position);
    poke(consumer().taken, position);
  }
};

// A consumer's private positions and its own page, after a call.  `before` is what position() was.
template <typename Consumer>
void check_consumer(const Consumer& end, const ConsumerPage& own, std::uint64_t before,
                    std::uint64_t capacity, Tally& tally) {
  const std::uint64_t position = end.position();
  const std::uint64_t done = end.done();
  tally.expect(position >= before, "the consumer's position went back");
  tally.expect(position - before <= capacity, "one call took more than the ring holds");
  tally.expect(done <= position && position - done <= capacity, "the consumer holds too much");
  const std::uint64_t shown = PairPages::peek(own.done);
  const std::uint64_t taken = PairPages::peek(own.taken);
  tally.expect(shown <= done, "the page shows more done than is");
  tally.expect(PairPages::peek(own.credit) <= done, "credit for what is still read");
  tally.expect(taken <= done || taken - done <= capacity, "the page shows more taken than a ring");
}

// A producer's, likewise.
template <typename Producer>
void check_producer(const Producer& end, const ProducerPage& own, std::uint64_t before,
                    std::uint64_t capacity, Tally& tally) {
  const std::uint64_t position = end.position();
  tally.expect(position >= before, "the producer's position went back");
  tally.expect(position - before <= capacity, "one call published more than the ring holds");
  tally.expect(PairPages::peek(own.abort_before) <= position, "an abort of what is to come");
}

}  // namespace slipring::fuzz

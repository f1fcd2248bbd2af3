// The slot ring against an oracle that a child could check: a deque.  Random operations, deaths
// included, on many geometries; the seed of a failure is printed.

#include <doctest/doctest.h>

#include <deque>

#include "core/ring/slot_ring.h"
#include "tests/core/ring/ring_memory.h"
#include "tests/core/ring/ring_walk.h"

namespace slipring {
namespace {

class SlotWalk : public RingWalk<SlotWalk> {
 public:
  SlotWalk(std::uint64_t seed, const SlotGeometry& geometry)
      : RingWalk(seed), memory_(geometry), start_(geometry.start_position), free_below_(start_) {}

 private:
  friend class RingWalk<SlotWalk>;
  void push() {
    const std::uint64_t count = memory_.geometry.slot_count;
    const std::uint64_t done = memory_.consumer_page->done.load(std::memory_order_relaxed);
    if (done > free_below_) free_below_ = done;
    const bool has_room = producer_.position() - free_below_ < count;
    REQUIRE(producer_.has_space() == has_room);
    std::span<std::byte> slot;
    REQUIRE(producer_.try_reserve(slot) == (has_room ? Transfer::kDone : Transfer::kBlocked));
    if (!has_room) {
      ++oracle_.blocked_count;
      // Never blocked by more than the quarter lap that the consumer may keep back.
      REQUIRE(oracle_.messages.size() + count / 4 >= count);
      return;
    }
    write_pattern(slot, oracle_.next_number);
    if (random_() % 32 == 0) return;  // left uncommitted; overwritten by the next push
    producer_.commit();
    oracle_.add(slot.size(), producer_.position());
  }
  void peek() {
    SlotView view;
    const bool has_more = oracle_.held_count < oracle_.messages.size();
    REQUIRE(consumer_.has_message() == has_more);
    REQUIRE(consumer_.try_peek(view) == (has_more ? Transfer::kDone : Transfer::kBlocked));
    if (!has_more) {
      REQUIRE(consumer_.credit_given() == consumer_.done());
      return;
    }
    REQUIRE(memory_.slots.contains(view.message));
    oracle_.take(view);
    held_.push_back(view);
  }
  void release() {
    if (held_.empty()) return;
    const std::size_t count = random_() % held_.size() + 1;
    consumer_.release(held_[count - 1]);
    oracle_.finish(count);
    held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(count));
    REQUIRE(producer_.position() - consumer_.done() == oracle_.messages.size());
  }
  void abort() {
    if (random_() % 2 == 0) {
      producer_.abort_published();
      oracle_.abort();
    } else if (held_.empty()) {
      REQUIRE(consumer_.skip_aborted() == oracle_.skip());
    }
  }
  void producer_dies() {
    // Dead between the two stores of commit(), in either order, or outside of it.
    std::uint64_t shown = producer_.position() + random_() % 3 - 1;
    if (producer_.position() == start_) shown = start_;
    memory_.producer_page->tail.store(shown, std::memory_order_relaxed);
    const std::uint64_t position = producer_.position();
    producer_ = memory_.producer();
    REQUIRE(producer_.position() == position);
    free_below_ = consumer_.done();
    ++oracle_.death_count;
  }
  void consumer_dies() {
    consumer_ = memory_.consumer();
    held_.clear();
    oracle_.consumer_dies();
  }

  SlotRingMemory memory_;
  std::uint64_t start_;
  std::uint64_t free_below_;  // what the producer must know to be free
  SlotProducer producer_ = memory_.producer();
  SlotConsumer consumer_ = memory_.consumer();
  std::deque<SlotView> held_;
};

TEST_CASE("model: the slot ring behaves as a deque, deaths and aborts included") {
  WalkTally tally;
  for (const std::uint64_t count : {2U, 4U, 8U, 64U}) {
    for (const std::uint32_t bytes : {1U, 8U, 40U, 60U}) {
      for (const std::uint64_t start :
           {std::uint64_t{0}, (std::uint64_t{1} << 32) - 50, (std::uint64_t{1} << 63) - 50}) {
        tally.walk<SlotWalk>(SlotGeometry{count, bytes, start});
      }
    }
  }
  tally.check_busy(8);
}

}  // namespace
}  // namespace slipring

// The record ring against an oracle that a child could check: a deque.  Random operations, deaths
// included, on many geometries; the seed of a failure is printed.

#include <doctest/doctest.h>

#include <deque>
#include <vector>

#include "core/ring/record_ring.h"
#include "tests/core/ring/ring_memory.h"
#include "tests/core/ring/ring_walk.h"

namespace slipring {
namespace {

class RecordWalk : public RingWalk<RecordWalk> {
 public:
  RecordWalk(std::uint64_t seed, const RecordGeometry& geometry)
      : RingWalk(seed), memory_(geometry), free_below_(geometry.start_position) {}

  bool step_otherwise(std::uint64_t which) {
    if (which == 5) publish();
    return which == 5;
  }

 private:
  friend class RingWalk<RecordWalk>;
  void push() {
    const std::uint64_t capacity = memory_.geometry.capacity_bytes;
    std::uint64_t size = random_() % (producer_.max_payload_bytes() + 1);
    if (random_() % 2 == 0) size %= 32;
    const std::uint64_t done = memory_.consumer_page->done.load(std::memory_order_relaxed);
    if (done > free_below_) free_below_ = done;
    const std::uint64_t whole = (8 + size + 7) / 8 * 8;
    const std::uint64_t to_end = capacity - closed_ % capacity;
    const std::uint64_t begin = whole > to_end ? closed_ + to_end : closed_;
    const bool has_room = begin + whole - free_below_ <= capacity;
    REQUIRE(producer_.has_space(size) == has_room);
    std::span<std::byte> payload;
    REQUIRE(producer_.try_reserve(size, payload) ==
            (has_room ? Transfer::kDone : Transfer::kBlocked));
    if (!has_room) {
      ++oracle_.blocked_count;
      return;
    }
    REQUIRE(memory_.bytes.contains(payload));
    const std::uint64_t kept = random_() % 4 == 0 ? size / 2 : size;
    write_pattern(payload.first(kept), oracle_.next_number + waiting_.size());
    if (random_() % 16 == 0) return producer_.abandon();
    producer_.close(kept);
    closed_ = begin + (8 + kept + 7) / 8 * 8;
    waiting_.push_back({0, kept, closed_, false, false});
    if (random_() % 2 == 0) publish();
  }
  void publish() {
    producer_.publish();
    for (const Published& record : waiting_) oracle_.add(record.size_bytes, record.end_position);
    waiting_.clear();
    REQUIRE(producer_.position() == closed_);
  }
  void peek() {
    RecordView view;
    const bool has_more = oracle_.held_count < oracle_.messages.size();
    REQUIRE(consumer_.has_message() == has_more);
    REQUIRE(consumer_.try_peek(view) == (has_more ? Transfer::kDone : Transfer::kBlocked));
    if (!has_more) {
      REQUIRE(consumer_.credit_given() == consumer_.done());
      return;
    }
    REQUIRE(memory_.bytes.contains(view.message));
    REQUIRE(view.message.size() == oracle_.messages[oracle_.held_count].size_bytes);
    REQUIRE(view.end_position == oracle_.messages[oracle_.held_count].end_position);
    oracle_.take(view);
    held_.push_back(view);
  }
  void release() {
    if (held_.empty()) return;
    const std::size_t count = random_() % held_.size() + 1;
    consumer_.release(held_[count - 1]);
    oracle_.finish(count);
    held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(count));
    REQUIRE((consumer_.done() == producer_.position()) == oracle_.messages.empty());
    REQUIRE(consumer_.done() - consumer_.credit_given() < memory_.geometry.capacity_bytes / 4);
  }
  void abort() {
    if (random_() % 2 == 0) {
      producer_.abort_published();
      oracle_.abort();
    } else if (held_.empty()) {
      const bool any = !oracle_.messages.empty() && oracle_.messages.front().is_aborted;
      REQUIRE((consumer_.skip_aborted() != 0) == any);
      oracle_.skip();
    }
  }
  void producer_dies() {
    producer_ = memory_.producer();
    closed_ = producer_.position();
    waiting_.clear();
    free_below_ = consumer_.done();
    ++oracle_.death_count;
  }
  void consumer_dies() {
    consumer_ = memory_.consumer();
    held_.clear();
    oracle_.consumer_dies();
  }

  RecordMemory memory_;
  std::uint64_t free_below_;
  RecordProducer producer_ = memory_.producer();
  RecordConsumer consumer_ = memory_.consumer();
  std::uint64_t closed_ = producer_.position();
  std::vector<Published> waiting_;  // closed and not published
  std::deque<RecordView> held_;
};

TEST_CASE("model: the record ring behaves as a deque, deaths and aborts included") {
  WalkTally tally;
  for (const std::uint64_t capacity : {64U, 128U, 256U, 4096U}) {
    for (const std::uint64_t start :
         {std::uint64_t{0}, (std::uint64_t{1} << 32) - 640, (std::uint64_t{1} << 63) - 640}) {
      for (int repeat = 0; repeat < 3; ++repeat) {
        tally.walk<RecordWalk>(RecordGeometry{capacity, start});
      }
    }
  }
  tally.check_busy(10);
}

}  // namespace
}  // namespace slipring

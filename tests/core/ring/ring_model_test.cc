// The rings against an oracle that a child could check: a deque.  Random operations, deaths
// included, on many geometries; the seed of a failure is printed.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <random>
#include <vector>

#include "core/ring/record_ring.h"
#include "core/ring/slot_ring.h"
#include "core/ring/spsc_ring.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring {
namespace {

struct Published {
  std::uint64_t number;
  std::uint64_t size_bytes;
  std::uint64_t end_position;
  bool was_taken;
  bool is_aborted;
};

// What is common to the two rings: messages between done and published, and which of them the
// present consumer holds.
struct Oracle {
  std::deque<Published> messages;  // from done on
  std::size_t held_count = 0;      // of these, from the front
  std::uint64_t next_number = 0;
  std::uint64_t delivered_count = 0;
  std::uint64_t blocked_count = 0;
  std::uint64_t death_count = 0;

  void add(std::uint64_t size_bytes, std::uint64_t end_position) {
    messages.push_back({next_number++, size_bytes, end_position, false, false});
  }
  void abort() {
    for (Published& message : messages) message.is_aborted = true;
  }
  void consumer_dies() {
    held_count = 0;
    ++death_count;
  }
  template <typename View>
  void take(const View& view) {
    REQUIRE(held_count < messages.size());
    Published& wanted = messages[held_count++];
    REQUIRE(view.message.size() >= wanted.size_bytes);
    REQUIRE(has_pattern(view.message.first(wanted.size_bytes), wanted.number));
    REQUIRE(view.redelivered == wanted.was_taken);
    REQUIRE(view.aborted == wanted.is_aborted);
    wanted.was_taken = true;
    ++delivered_count;
  }
  // Finishes the first `count` messages.
  void finish(std::size_t count) {
    messages.erase(messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(count));
    held_count = held_count > count ? held_count - count : 0;
  }
  std::size_t skip() {
    std::size_t count = 0;
    while (count < messages.size() && messages[count].is_aborted) ++count;
    finish(count);
    return count;
  }
};

// One random walk over an spsc ring.
class SlotWalk {
 public:
  SlotWalk(std::uint64_t seed, const SlotGeometry& geometry)
      : random_(seed), memory_(geometry), start_(geometry.start_position), free_below_(start_) {}

  void step() {
    switch (random_() % 16) {
      default:
        return push();
      case 6:
      case 7:
      case 8:
      case 9:
        return peek();
      case 10:
      case 11:
      case 12:
        return release();
      case 13:
        if (random_() % 8 == 0) abort();
        return;
      case 14:
        if (random_() % 4 == 0) producer_dies();
        return;
      case 15:
        if (random_() % 4 == 0) consumer_dies();
    }
  }
  [[nodiscard]] const Oracle& oracle() const { return oracle_; }

 private:
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

  std::mt19937_64 random_;
  SlotRingMemory memory_;
  std::uint64_t start_;
  std::uint64_t free_below_;  // what the producer must know to be free
  SlotProducer producer_ = memory_.producer();
  SlotConsumer consumer_ = memory_.consumer();
  std::deque<SlotView> held_;
  Oracle oracle_;
};

class RecordWalk {
 public:
  RecordWalk(std::uint64_t seed, const RecordGeometry& geometry)
      : random_(seed), memory_(geometry), free_below_(geometry.start_position) {}

  void step() {
    switch (random_() % 16) {
      default:
        return push();
      case 5:
        return publish();
      case 6:
      case 7:
      case 8:
      case 9:
        return peek();
      case 10:
      case 11:
      case 12:
        return release();
      case 13:
        if (random_() % 8 == 0) abort();
        return;
      case 14:
        if (random_() % 4 == 0) producer_dies();
        return;
      case 15:
        if (random_() % 4 == 0) consumer_dies();
    }
  }
  [[nodiscard]] const Oracle& oracle() const { return oracle_; }

 private:
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

  std::mt19937_64 random_;
  RecordMemory memory_;
  std::uint64_t free_below_;
  RecordProducer producer_ = memory_.producer();
  RecordConsumer consumer_ = memory_.consumer();
  std::uint64_t closed_ = producer_.position();
  std::vector<Published> waiting_;  // closed and not published
  std::deque<RecordView> held_;
  Oracle oracle_;
};

// The typed ring: values instead of views, so that the oracle is asked value by value.
class SpscWalk {
 public:
  SpscWalk(std::uint64_t seed, const SpscGeometry& geometry) : random_(seed), memory_(geometry) {}

  void step() {
    switch (random_() % 16) {
      default:
        return push();
      case 6:
      case 7:
        return pop();
      case 8:
      case 9:
        return peek();
      case 10:
      case 11:
      case 12:
        return release();
      case 13:
        if (random_() % 8 == 0) abort();
        return;
      case 14:
        if (random_() % 4 == 0) producer_dies();
        return;
      case 15:
        if (random_() % 4 == 0) consumer_dies();
    }
  }
  [[nodiscard]] const Oracle& oracle() const { return oracle_; }

 private:
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

  std::mt19937_64 random_;
  SpscMemory<Value> memory_;
  SpscProducer<Value> producer_ = memory_.producer();
  SpscConsumer<Value> consumer_ = memory_.consumer();
  Oracle oracle_;
};

constexpr int kStepCount = 30'000;

TEST_CASE("model: the spsc ring behaves as a deque, deaths and aborts included") {
  std::uint64_t seed = 0;
  std::uint64_t delivered_count = 0;
  std::uint64_t blocked_count = 0;
  std::uint64_t death_count = 0;
  for (const std::uint64_t count : {2U, 4U, 8U, 64U}) {
    for (const std::uint32_t bytes : {1U, 8U, 40U, 60U}) {
      for (const std::uint64_t start :
           {std::uint64_t{0}, (std::uint64_t{1} << 32) - 50, (std::uint64_t{1} << 63) - 50}) {
        ++seed;
        CAPTURE(seed);
        SlotWalk walk(seed, {count, bytes, start});
        for (int i = 0; i < kStepCount; ++i) walk.step();
        delivered_count += walk.oracle().delivered_count;
        blocked_count += walk.oracle().blocked_count;
        death_count += walk.oracle().death_count;
      }
    }
  }
  MESSAGE("steps ", seed * kStepCount, ", delivered ", delivered_count, ", blocked ", blocked_count,
          ", deaths ", death_count);
  CHECK(delivered_count > seed * kStepCount / 8);
  CHECK(blocked_count > 1000);
  CHECK(death_count > 1000);
}

TEST_CASE("model: the typed ring behaves as a deque, deaths and aborts included") {
  std::uint64_t seed = 0;
  std::uint64_t delivered_count = 0;
  std::uint64_t blocked_count = 0;
  std::uint64_t death_count = 0;
  for (const std::uint64_t count : {1U, 2U, 3U, 5U, 7U, 8U, 64U, 100U}) {
    for (const std::uint64_t start :
         {std::uint64_t{0}, (std::uint64_t{1} << 32) - 50, (std::uint64_t{1} << 63) - 50}) {
      ++seed;
      CAPTURE(seed);
      SpscWalk walk(seed, {count, start});
      for (int i = 0; i < kStepCount; ++i) walk.step();
      delivered_count += walk.oracle().delivered_count;
      blocked_count += walk.oracle().blocked_count;
      death_count += walk.oracle().death_count;
    }
  }
  MESSAGE("steps ", seed * kStepCount, ", delivered ", delivered_count, ", blocked ", blocked_count,
          ", deaths ", death_count);
  CHECK(delivered_count > seed * kStepCount / 8);
  CHECK(blocked_count > 1000);
  CHECK(death_count > 1000);
}

TEST_CASE("model: the record ring behaves as a deque, deaths and aborts included") {
  std::uint64_t seed = 0;
  std::uint64_t delivered_count = 0;
  std::uint64_t blocked_count = 0;
  std::uint64_t death_count = 0;
  for (const std::uint64_t capacity : {64U, 128U, 256U, 4096U}) {
    for (const std::uint64_t start :
         {std::uint64_t{0}, (std::uint64_t{1} << 32) - 640, (std::uint64_t{1} << 63) - 640}) {
      for (int repeat = 0; repeat < 3; ++repeat) {
        ++seed;
        CAPTURE(seed);
        RecordWalk walk(seed, {capacity, start});
        for (int i = 0; i < kStepCount; ++i) walk.step();
        delivered_count += walk.oracle().delivered_count;
        blocked_count += walk.oracle().blocked_count;
        death_count += walk.oracle().death_count;
      }
    }
  }
  MESSAGE("steps ", seed * kStepCount, ", delivered ", delivered_count, ", blocked ", blocked_count,
          ", deaths ", death_count);
  CHECK(delivered_count > seed * kStepCount / 10);
  CHECK(blocked_count > 1000);
  CHECK(death_count > 1000);
}

}  // namespace
}  // namespace slipring

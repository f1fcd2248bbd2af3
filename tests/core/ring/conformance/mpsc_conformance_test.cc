#include <doctest/doctest.h>

#include <array>
#include <deque>

#include "core/ring/mpsc_ring.h"
#include "core/ring/slot_ring.h"
#include "tests/core/ring/conformance/pair_memory.h"
#include "tests/core/ring/conformance/suite_parts.h"

namespace slipring {
namespace {

constexpr std::array<std::uint32_t, 3> kLanes{0, 9, 63};

// Three lanes, of which one is written: capacity and order are the lane's.  What holds between
// lanes is checked by itself below.
class MpscAdapter {
 public:
  static constexpr bool kIsVariable = false;
  static constexpr std::size_t kAlignment = 8;

  static std::vector<RingShape> shapes() {
    std::vector<RingShape> all;
    for (const std::uint64_t count : {2U, 8U, 32U}) {
      for (const std::uint32_t bytes : {8U, 100U}) {
        for (const std::uint64_t start : near_wraps()) all.push_back({count, bytes, start});
      }
    }
    return all;
  }
  static std::uint64_t footprint(std::uint64_t) { return 1; }

  explicit MpscAdapter(const RingShape& shape)
      : geometry_{shape.capacity, static_cast<std::uint32_t>(shape.message_bytes),
                  shape.start_position},
        memories_{PairMemory{slot_slots_bytes(geometry_)}, PairMemory{slot_slots_bytes(geometry_)},
                  PairMemory{slot_slots_bytes(geometry_)}},
        producers_{new_producer(0).value(), new_producer(1).value(), new_producer(2).value()},
        lanes_{new_lane(0).value(), new_lane(1).value(), new_lane(2).value()},
        consumer_(*bells_.as<BellPage>()) {
    join();
  }
  MpscAdapter(const MpscAdapter&) = delete;
  MpscAdapter& operator=(const MpscAdapter&) = delete;

  Transfer push(std::span<const std::byte> message) { return push_as(1, message); }
  Transfer push_as(std::size_t lane, std::span<const std::byte> message) {
    const Transfer answer = producers_[lane].try_push(message);
    if (answer == Transfer::kDone) LaneBell(*bells_.as<BellPage>(), kLanes[lane]).ring();
    return answer;
  }
  Transfer pop(Message& message) {
    std::uint32_t lane = 0;
    return pop_of(lane, message);
  }
  Transfer pop_of(std::uint32_t& lane, Message& message) {
    MpscConsumer<SlotConsumer>::Message taken;
    const Transfer answer = consumer_.try_peek(taken);
    if (answer != Transfer::kDone) return answer;
    lane = taken.lane;
    message.assign(taken.view.message.begin(), taken.view.message.end());
    consumer_.release(taken);
    return answer;
  }
  void flush() { lanes_[1].publish_credit(); }
  bool is_intact() {
    return bells_.is_intact() && memories_[0].is_intact() && memories_[1].is_intact() &&
           memories_[2].is_intact();
  }
  bool has_space(std::uint64_t) { return producers_[1].has_space(); }
  bool has_message() { return consumer_.has_message(); }

  Transfer reserve(std::uint64_t, std::span<std::byte>& room) {
    return producers_[1].try_reserve(room);
  }
  void commit(std::uint64_t) {
    producers_[1].commit();
    LaneBell(*bells_.as<BellPage>(), kLanes[1]).ring();
  }
  void abandon() {}
  Transfer peek(std::span<const std::byte>& seen, bool& redelivered) {
    MpscConsumer<SlotConsumer>::Message taken;
    const Transfer answer = consumer_.try_peek(taken);
    if (answer != Transfer::kDone) return answer;
    seen = taken.view.message;
    redelivered = taken.view.redelivered;
    held_.push_back(taken);
    return answer;
  }
  void release() {
    consumer_.release(held_.front());
    held_.pop_front();
  }
  std::uint64_t taken_count() { return held_.size(); }
  bool contains(std::span<const std::byte> part) { return memories_[1].ring.contains(part); }

  bool reattach_producer() { return succeed(producers_[1], new_producer(1)); }
  bool reattach_consumer() {
    held_.clear();
    for (std::size_t i = 0; i < kLanes.size(); ++i) {
      if (!succeed(lanes_[i], new_lane(i))) return false;
    }
    consumer_ = MpscConsumer<SlotConsumer>(*bells_.as<BellPage>());
    join();
    return true;
  }

 private:
  void join() {
    for (std::size_t i = 0; i < kLanes.size(); ++i) consumer_.join(kLanes[i], lanes_[i]);
  }
  Result<SlotProducer> new_producer(std::size_t i) {
    PairMemory& memory = memories_[i];
    return SlotProducer::attach(memory.producer_page(), memory.ring.data(), memory.consumer_page(),
                                geometry_);
  }
  Result<SlotConsumer> new_lane(std::size_t i) {
    PairMemory& memory = memories_[i];
    return SlotConsumer::attach(memory.consumer_page(), memory.producer_page(), memory.ring.data(),
                                geometry_);
  }

  SlotGeometry geometry_;
  GuardedBytes bells_{sizeof(BellPage)};
  std::array<PairMemory, 3> memories_;
  std::array<SlotProducer, 3> producers_;
  std::array<SlotConsumer, 3> lanes_;
  MpscConsumer<SlotConsumer> consumer_;
  std::deque<MpscConsumer<SlotConsumer>::Message> held_;
};
static_assert(InPlaceAdapter<MpscAdapter> && HandOverAdapter<MpscAdapter> &&
              AskableAdapter<MpscAdapter>);

TEST_CASE("conformance: a lane of the ring for many producers and one consumer") {
  conformance::conforms<MpscAdapter>("mpsc lane");
}

TEST_CASE("conformance: every producer's messages leave in its order, under its lane's number") {
  MpscAdapter ring({8, 24, (std::uint64_t{1} << 32) - 16});
  std::mt19937_64 random(7);
  std::array<std::uint64_t, 3> pushed{};
  std::array<std::uint64_t, 3> popped{};
  Message message(24);
  for (int step = 0; step < 20'000; ++step) {
    if (random() % 2 == 0) {
      const std::size_t lane = random() % 3;
      write_pattern(message, lane << 32 | pushed[lane]);
      if (ring.push_as(lane, message) == Transfer::kDone) ++pushed[lane];
      continue;
    }
    std::uint32_t number = 0;
    const bool is_any = pushed != popped;
    REQUIRE(ring.pop_of(number, message) == (is_any ? Transfer::kDone : Transfer::kBlocked));
    if (!is_any) continue;
    const std::size_t lane = number == kLanes[0] ? 0 : number == kLanes[1] ? 1 : 2;
    REQUIRE(number == kLanes[lane]);
    REQUIRE(has_pattern(message, lane << 32 | popped[lane]++));
  }
  MESSAGE("delivered ", popped[0], " + ", popped[1], " + ", popped[2]);
  for (const std::uint64_t count : popped) CHECK(count > 1000);
}

}  // namespace
}  // namespace slipring

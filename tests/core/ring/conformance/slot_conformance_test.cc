#include <doctest/doctest.h>

#include <deque>

#include "core/ring/slot_ring.h"
#include "tests/core/ring/conformance/pair_memory.h"
#include "tests/core/ring/conformance/suite_parts.h"

namespace slipring {
namespace {

class SlotAdapter {
 public:
  static constexpr bool kIsVariable = false;
  static constexpr std::size_t kAlignment = 8;

  static std::vector<RingShape> shapes() {
    std::vector<RingShape> all;
    for (const std::uint64_t count : {2U, 4U, 8U, 32U}) {
      for (const std::uint32_t bytes : {1U, 8U, 24U, 56U, 100U}) {
        for (const std::uint64_t start : near_wraps()) all.push_back({count, bytes, start});
      }
    }
    all.push_back({4, 4096, (std::uint64_t{1} << 32) - 3});
    return all;
  }
  static std::uint64_t footprint(std::uint64_t) { return 1; }

  explicit SlotAdapter(const RingShape& shape)
      : geometry_{shape.capacity, static_cast<std::uint32_t>(shape.message_bytes),
                  shape.start_position},
        memory_(slot_slots_bytes(geometry_)),
        producer_(new_producer().value()),
        consumer_(new_consumer().value()) {}

  Transfer push(std::span<const std::byte> message) { return producer_.try_push(message); }
  Transfer pop(Message& message) {
    message.resize(geometry_.slot_bytes);
    return consumer_.try_pop(message);
  }
  void flush() { consumer_.publish_credit(); }
  bool is_intact() { return memory_.is_intact(); }
  bool has_space(std::uint64_t) { return producer_.has_space(); }
  bool has_message() { return consumer_.has_message(); }

  Transfer reserve(std::uint64_t, std::span<std::byte>& room) {
    return producer_.try_reserve(room);
  }
  void commit(std::uint64_t) { producer_.commit(); }
  void abandon() {}
  Transfer peek(std::span<const std::byte>& seen, bool& redelivered) {
    SlotView view;
    if (const Transfer answer = consumer_.try_peek(view); answer != Transfer::kDone) return answer;
    seen = view.message;
    redelivered = view.redelivered;
    held_.push_back(view);
    return Transfer::kDone;
  }
  void release() {
    consumer_.release(held_.front());
    held_.pop_front();
  }
  std::uint64_t taken_count() { return held_.size(); }
  bool contains(std::span<const std::byte> part) { return memory_.ring.contains(part); }

  bool reattach_producer() { return succeed(producer_, new_producer()); }
  bool reattach_consumer() {
    held_.clear();
    return succeed(consumer_, new_consumer());
  }

 private:
  Result<SlotProducer> new_producer() {
    return SlotProducer::attach(memory_.producer_page(), memory_.ring.data(),
                                memory_.consumer_page(), geometry_);
  }
  Result<SlotConsumer> new_consumer() {
    return SlotConsumer::attach(memory_.consumer_page(), memory_.producer_page(),
                                memory_.ring.data(), geometry_);
  }

  SlotGeometry geometry_;
  PairMemory memory_;
  SlotProducer producer_;
  SlotConsumer consumer_;
  std::deque<SlotView> held_;
};
static_assert(InPlaceAdapter<SlotAdapter> && HandOverAdapter<SlotAdapter> &&
              AskableAdapter<SlotAdapter>);

TEST_CASE("conformance: the slot ring") {
  conformance::conforms<SlotAdapter>("slot ring");
}

}  // namespace
}  // namespace slipring

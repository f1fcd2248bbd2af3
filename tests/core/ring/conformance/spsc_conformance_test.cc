#include <doctest/doctest.h>

#include <array>
#include <cstring>

#include "core/ring/spsc_ring.h"
#include "tests/core/ring/conformance/pair_memory.h"
#include "tests/core/ring/conformance/suite_parts.h"

namespace slipring {
namespace {

// The strictest alignment that does not lengthen a value, up to a line.
constexpr std::size_t alignment_of(std::size_t size) {
  std::size_t alignment = 1;
  while (alignment < kCacheLineBytes && size % (2 * alignment) == 0) alignment *= 2;
  return alignment;
}

template <std::size_t kBytes>
class SpscAdapter {
 public:
  struct alignas(alignment_of(kBytes)) Value {
    std::array<std::byte, kBytes> bytes;
  };
  static_assert(sizeof(Value) == kBytes);
  static constexpr bool kIsVariable = false;
  static constexpr std::size_t kAlignment = alignof(Value);

  static std::vector<RingShape> shapes() {
    std::vector<RingShape> all;
    for (const std::uint64_t count : {1U, 2U, 3U, 5U, 7U, 8U, 33U}) {
      for (const std::uint64_t start : near_wraps()) {
        // Long values differ in nothing but their length.
        if (kBytes <= 100 || (count < 8 && start >> 33 == 0)) all.push_back({count, kBytes, start});
      }
    }
    if (kBytes <= 64) all.push_back({1000, kBytes, (std::uint64_t{1} << 32) - 999});
    return all;
  }
  static std::uint64_t footprint(std::uint64_t) { return 1; }

  explicit SpscAdapter(const RingShape& shape)
      : geometry_{shape.capacity, shape.start_position},
        memory_(spsc_place_count(geometry_) * sizeof(Value)),
        producer_(new_producer().value()),
        consumer_(new_consumer().value()) {}

  Transfer push(std::span<const std::byte> message) {
    return producer_.try_push(value_of(message));
  }
  Transfer pop(Message& message) {
    Value value;
    if (run_.empty()) {
      if (const Transfer answer = consumer_.try_pop(value); answer != Transfer::kDone)
        return answer;
      message.assign(value.bytes.begin(), value.bytes.end());
      return Transfer::kDone;
    }
    // Peeked at in one run with those before it.
    message.assign(run_[0].bytes.begin(), run_[0].bytes.end());
    run_ = run_.subspan(1);
    consumer_.release(1);
    return Transfer::kDone;
  }
  void flush() { consumer_.publish_credit(); }
  bool is_intact() { return memory_.is_intact(); }
  bool has_space(std::uint64_t) { return producer_.has_space(); }
  bool has_message() { return !run_.empty() || consumer_.has_value(); }

  std::size_t push_batch(std::span<const Message> messages) {
    std::vector<Value> values;
    for (const Message& message : messages) values.push_back(value_of(message));
    std::size_t count = 0;
    static_cast<void>(producer_.try_push_batch(values, count));
    return count;
  }
  std::size_t pop_batch(std::span<Message> messages) {
    std::vector<Value> values(messages.size());
    std::size_t count = 0;
    static_cast<void>(consumer_.try_pop_batch(values, count));
    for (std::size_t i = 0; i < count; ++i) {
      messages[i].assign(values[i].bytes.begin(), values[i].bytes.end());
    }
    return count;
  }

  Transfer reserve(std::uint64_t, std::span<std::byte>& room) {
    std::span<Value> slots;
    const Transfer answer = producer_.try_reserve(slots);
    if (answer == Transfer::kDone) room = slots[0].bytes;
    return answer;
  }
  void commit(std::uint64_t) { producer_.commit(1); }
  void abandon() {}
  Transfer peek(std::span<const std::byte>& seen, bool& redelivered) {
    if (run_.empty()) {
      if (const Transfer answer = consumer_.try_peek(run_); answer != Transfer::kDone)
        return answer;
    }
    seen = run_[0].bytes;
    redelivered = held_count_ < consumer_.redelivered_count();
    run_ = run_.subspan(1);
    ++held_count_;
    return Transfer::kDone;
  }
  void release() {
    consumer_.release(1);
    --held_count_;
  }
  std::uint64_t taken_count() { return consumer_.position() - consumer_.done(); }
  bool contains(std::span<const std::byte> part) { return memory_.ring.contains(part); }

  bool reattach_producer() { return succeed(producer_, new_producer()); }
  bool reattach_consumer() {
    run_ = {};
    held_count_ = 0;
    return succeed(consumer_, new_consumer());
  }

 private:
  static Value value_of(std::span<const std::byte> message) {
    Value value;
    std::memcpy(value.bytes.data(), message.data(), kBytes);
    return value;
  }
  Result<SpscProducer<Value>> new_producer() {
    return SpscProducer<Value>::attach(memory_.producer_page(), memory_.ring.template as<Value>(),
                                       memory_.consumer_page(), geometry_);
  }
  Result<SpscConsumer<Value>> new_consumer() {
    return SpscConsumer<Value>::attach(memory_.consumer_page(), memory_.producer_page(),
                                       memory_.ring.template as<Value>(), geometry_);
  }

  SpscGeometry geometry_;
  PairMemory memory_;
  SpscProducer<Value> producer_;
  SpscConsumer<Value> consumer_;
  std::span<const Value> run_;  // peeked at and not yet handed on
  std::uint64_t held_count_ = 0;
};

template <std::size_t kBytes>
void conforms(const std::string& name) {
  static_assert(BatchAdapter<SpscAdapter<kBytes>> && InPlaceAdapter<SpscAdapter<kBytes>> &&
                HandOverAdapter<SpscAdapter<kBytes>> && AskableAdapter<SpscAdapter<kBytes>>);
  conformance::conforms<SpscAdapter<kBytes>>(name);
}

TEST_CASE("conformance: the typed ring, values of 1 to 4096 bytes") {
  conforms<1>("spsc 1 B");
  conforms<4>("spsc 4 B");
  conforms<8>("spsc 8 B");
  conforms<12>("spsc 12 B");
  conforms<64>("spsc 64 B");
  conforms<100>("spsc 100 B");
  conforms<4096>("spsc 4096 B");
}

}  // namespace
}  // namespace slipring

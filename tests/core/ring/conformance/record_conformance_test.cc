#include <doctest/doctest.h>

#include <deque>

#include "core/ring/record_ring.h"
#include "tests/core/ring/conformance/pair_memory.h"
#include "tests/core/ring/conformance/suite_parts.h"

namespace slipring {
namespace {

class RecordAdapter {
 public:
  static constexpr bool kIsVariable = true;
  static constexpr std::size_t kAlignment = 8;

  static std::vector<RingShape> shapes() {
    std::vector<RingShape> all;
    for (const std::uint64_t capacity : {64U, 128U}) {
      for (const std::uint64_t start : near_wraps()) {
        all.push_back({capacity, record_max_payload_bytes(capacity), start});
      }
    }
    all.push_back({256, record_max_payload_bytes(256), 0});
    return all;
  }
  static std::uint64_t footprint(std::uint64_t size) {
    return (kRecordHeaderBytes + size + 7) & ~7ULL;
  }

  explicit RecordAdapter(const RingShape& shape)
      : geometry_{shape.capacity, shape.start_position},
        memory_(shape.capacity),
        producer_(new_producer().value()),
        consumer_(new_consumer().value()) {}

  Transfer push(std::span<const std::byte> message) { return producer_.try_push(message); }
  Transfer pop(Message& message) {
    message.resize(static_cast<std::size_t>(geometry_.capacity_bytes));
    std::uint64_t size = 0;
    const Transfer answer = consumer_.try_pop(message, size);
    if (answer == Transfer::kDone) message.resize(static_cast<std::size_t>(size));
    return answer;
  }
  void flush() { consumer_.publish_credit(); }
  bool is_intact() { return memory_.is_intact(); }
  bool has_space(std::uint64_t size) { return producer_.has_space(size); }
  bool has_message() { return consumer_.has_message(); }

  std::size_t push_batch(std::span<const Message> messages) {
    const std::vector<std::span<const std::byte>> spans(messages.begin(), messages.end());
    std::size_t count = 0;
    static_cast<void>(producer_.try_push_many(spans, count));
    return count;
  }
  std::size_t pop_batch(std::span<Message> messages) {
    std::vector<RecordView> views(messages.size());
    std::size_t count = 0;
    if (consumer_.try_peek_many(views, count) != Transfer::kDone) return 0;
    for (std::size_t i = 0; i < count; ++i) {
      messages[i].assign(views[i].message.begin(), views[i].message.end());
    }
    consumer_.release(views[count - 1]);
    return count;
  }

  Transfer reserve(std::uint64_t size, std::span<std::byte>& room) {
    return producer_.try_reserve(size, room);
  }
  void commit(std::uint64_t size) { producer_.commit(size); }
  void abandon() { producer_.abandon(); }
  Transfer peek(std::span<const std::byte>& seen, bool& redelivered) {
    RecordView view;
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
  Result<RecordProducer> new_producer() {
    return RecordProducer::attach(memory_.producer_page(), memory_.ring.data(),
                                  memory_.consumer_page(), geometry_);
  }
  Result<RecordConsumer> new_consumer() {
    return RecordConsumer::attach(memory_.consumer_page(), memory_.producer_page(),
                                  memory_.ring.data(), geometry_);
  }

  RecordGeometry geometry_;
  PairMemory memory_;
  RecordProducer producer_;
  RecordConsumer consumer_;
  std::deque<RecordView> held_;
};
static_assert(BatchAdapter<RecordAdapter> && InPlaceAdapter<RecordAdapter> &&
              HandOverAdapter<RecordAdapter> && AskableAdapter<RecordAdapter>);

TEST_CASE("conformance: the record ring") {
  conformance::conforms<RecordAdapter>("record ring");
}

}  // namespace
}  // namespace slipring

#include <doctest/doctest.h>

#include "core/ring/record_ring.h"
#include "tests/core/ring/conformance/in_place_pair.h"
#include "tests/core/ring/conformance/suite_parts.h"

namespace slipring {
namespace {

class RecordAdapter
    : public InPlacePair<RecordProducer, RecordConsumer, RecordView, RecordGeometry> {
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
      : InPlacePair({shape.capacity, shape.start_position}, shape.capacity) {}

  Transfer pop(Message& message) {
    message.resize(static_cast<std::size_t>(geometry_.capacity_bytes));
    std::uint64_t size = 0;
    const Transfer answer = consumer_.try_pop(message, size);
    if (answer == Transfer::kDone) message.resize(static_cast<std::size_t>(size));
    return answer;
  }
  bool has_space(std::uint64_t size) { return producer_.has_space(size); }

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
};
static_assert(BatchAdapter<RecordAdapter> && InPlaceAdapter<RecordAdapter> &&
              HandOverAdapter<RecordAdapter> && AskableAdapter<RecordAdapter>);

TEST_CASE("conformance: the record ring") {
  conformance::conforms<RecordAdapter>("record ring");
}

}  // namespace
}  // namespace slipring

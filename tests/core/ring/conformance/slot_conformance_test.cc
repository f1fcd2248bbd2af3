#include <doctest/doctest.h>

#include "core/ring/slot_ring.h"
#include "tests/core/ring/conformance/in_place_pair.h"
#include "tests/core/ring/conformance/suite_parts.h"

namespace slipring {
namespace {

class SlotAdapter : public InPlacePair<SlotProducer, SlotConsumer, SlotView, SlotGeometry> {
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

  explicit SlotAdapter(const RingShape& shape) : SlotAdapter(geometry_of(shape)) {}

  Transfer pop(Message& message) {
    message.resize(geometry_.slot_bytes);
    return consumer_.try_pop(message);
  }
  bool has_space(std::uint64_t) { return producer_.has_space(); }

  Transfer reserve(std::uint64_t, std::span<std::byte>& room) {
    return producer_.try_reserve(room);
  }
  void commit(std::uint64_t) { producer_.commit(); }
  void abandon() {}

 private:
  explicit SlotAdapter(const SlotGeometry& geometry)
      : InPlacePair(geometry, slot_slots_bytes(geometry)) {}
  static SlotGeometry geometry_of(const RingShape& shape) {
    return {shape.capacity, static_cast<std::uint32_t>(shape.message_bytes), shape.start_position};
  }
};
static_assert(InPlaceAdapter<SlotAdapter> && HandOverAdapter<SlotAdapter> &&
              AskableAdapter<SlotAdapter>);

TEST_CASE("conformance: the slot ring") {
  conformance::conforms<SlotAdapter>("slot ring");
}

}  // namespace
}  // namespace slipring

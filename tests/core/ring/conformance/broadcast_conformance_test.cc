#include <doctest/doctest.h>

#include <array>
#include <deque>

#include "core/ring/broadcast_ring.h"
#include "tests/core/ring/conformance/guarded_bytes.h"
#include "tests/core/ring/conformance/pair_memory.h"
#include "tests/core/ring/conformance/suite_parts.h"

namespace slipring {
namespace {

Transfer as_transfer(Reception answer) {
  switch (answer) {
    case Reception::kDone:
      return Transfer::kDone;
    case Reception::kBlocked:
      return Transfer::kBlocked;
    default:
      return Transfer::kCorruptPeer;
  }
}

// The policy that blocks on the slowest reader: what a reader sees then is a ring like the others.
// A second reader has read everything at once, and is never the slowest.
class BroadcastAdapter {
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
    return all;
  }
  static std::uint64_t footprint(std::uint64_t) { return 1; }

  explicit BroadcastAdapter(const RingShape& shape)
      : geometry_{shape.capacity,          static_cast<std::uint32_t>(shape.message_bytes),
                  shape.start_position,    2,
                  BroadcastPolicy::kBlock, 0},
        slots_(broadcast_slots_bytes(geometry_)),
        writer_(new_writer().value()),
        reader_(new_reader(0).value()),
        fast_reader_(new_reader(1).value()) {
    for (BroadcastReader* reader : {&reader_, &fast_reader_}) {
      if (!reader->join(BroadcastJoin::kOldest)) std::abort();
    }
  }

  Transfer push(std::span<const std::byte> message) {
    read_along();
    return writer_.try_push(message);
  }
  Transfer pop(Message& message) {
    message.resize(geometry_.slot_bytes);
    BroadcastView view;
    const Transfer answer = as_transfer(reader_.try_pop(message, view));
    if (answer == Transfer::kDone) lost_count_ += view.lost;
    return answer;
  }
  void flush() { reader_.publish_credit(); }
  bool is_intact() {
    return lost_count_ == 0 && writer_page_.is_intact() && slots_.is_intact() &&
           pages_[0].is_intact() && pages_[1].is_intact();
  }
  // has_message() alone: has_space() may also ask for a look at the readers.
  bool has_message() { return reader_.has_message(); }

  Transfer reserve(std::uint64_t, std::span<std::byte>& room) {
    read_along();
    return writer_.try_reserve(room);
  }
  void commit(std::uint64_t) { writer_.commit(); }
  void abandon() {}
  Transfer peek(std::span<const std::byte>& seen, bool& redelivered) {
    BroadcastView view;
    const Transfer answer = as_transfer(reader_.try_peek(view));
    if (answer != Transfer::kDone) return answer;
    seen = view.message;
    redelivered = view.redelivered;
    lost_count_ += view.lost + (view.is_stable ? 0 : 1);
    held_.push_back(view);
    return answer;
  }
  void release() {
    reader_.release(held_.front());
    held_.pop_front();
  }
  std::uint64_t taken_count() { return held_.size(); }
  bool contains(std::span<const std::byte> part) { return slots_.contains(part); }

  // A writer's successor goes by the credits alone, which may lie a quarter of a lap back.
  bool reattach_producer() {
    flush();
    return succeed(writer_, new_writer());
  }
  bool reattach_consumer() {
    held_.clear();
    return succeed(reader_, new_reader(0));
  }

 private:
  void read_along() {
    Message message(geometry_.slot_bytes);
    BroadcastView view;
    while (fast_reader_.try_pop(message, view) == Reception::kDone) {
    }
    fast_reader_.publish_credit();
  }
  Result<BroadcastWriter> new_writer() {
    const std::array<const BroadcastReaderPage*, 2> pages{pages_[0].as<BroadcastReaderPage>(),
                                                          pages_[1].as<BroadcastReaderPage>()};
    return BroadcastWriter::attach(*writer_page_.as<BroadcastWriterPage>(), slots_.data(), pages,
                                   geometry_);
  }
  Result<BroadcastReader> new_reader(std::uint32_t i) {
    return BroadcastReader::attach(*pages_[i].as<BroadcastReaderPage>(),
                                   *writer_page_.as<BroadcastWriterPage>(), slots_.data(), i,
                                   geometry_);
  }

  BroadcastGeometry geometry_;
  GuardedBytes writer_page_{sizeof(BroadcastWriterPage)};
  std::array<GuardedBytes, 2> pages_{GuardedBytes{sizeof(BroadcastReaderPage)},
                                     GuardedBytes{sizeof(BroadcastReaderPage)}};
  GuardedBytes slots_;
  BroadcastWriter writer_;
  BroadcastReader reader_;
  BroadcastReader fast_reader_;
  std::deque<BroadcastView> held_;
  std::uint64_t lost_count_ = 0;
};
static_assert(InPlaceAdapter<BroadcastAdapter> && HandOverAdapter<BroadcastAdapter>);

TEST_CASE("conformance: the broadcast ring that blocks on its slowest reader") {
  conformance::conforms<BroadcastAdapter>("broadcast");
}

}  // namespace
}  // namespace slipring

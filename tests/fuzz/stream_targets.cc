// The byte stream's ends.
#include <array>

#include "core/ring/byte_stream.h"
#include "tests/fuzz/pair_pages.h"
#include "tests/fuzz/pair_world.h"
#include "tests/fuzz/scene_target.h"
#include "tests/fuzz/targets.h"

namespace slipring::fuzz {
namespace {

struct StreamMemory {
  using Producer = BasicStreamProducer<FuzzAtomics>;
  using Consumer = BasicStreamConsumer<FuzzAtomics>;
  static constexpr std::uint64_t kCapacity = 64;
  static constexpr std::array<std::uint64_t, 4> kFills{0, 1, 40, 64};

  PairPages pages;
  GuardedBlock bytes{kCapacity};
  std::array<GuardedBlock*, 3> all{&pages.producer_block, &pages.consumer_block, &bytes};
  StreamGeometry geometry{kCapacity, 0};

  [[nodiscard]] Result<Producer> producer() const {
    return Producer::attach(pages.producer(), bytes.data(), pages.consumer(), geometry);
  }
  [[nodiscard]] Result<Consumer> consumer() const {
    return Consumer::attach(pages.consumer(), pages.producer(), bytes.data(), geometry);
  }
  template <typename Byte>
  [[nodiscard]] bool contains(const StreamParts<Byte>& parts) const {
    return bytes.contains(parts.first) && (parts.second.empty() || bytes.contains(parts.second));
  }
  // 37 bytes have come and gone, `fill` are there.
  void build(std::uint64_t fill) const {
    Producer producing = producer().value();
    Consumer consuming = consumer().value();
    std::array<std::byte, kCapacity> some{};
    std::size_t count = 0;
    must(producing.try_write(std::span(some).first(37), count) == Transfer::kDone && count == 37);
    must(consuming.try_read(some, count) == Transfer::kDone && count == 37);
    must(producing.try_write(std::span(some).first(fill), count) == Transfer::kDone &&
         count == fill);
  }
};

class ConsumerWorld : public ConsumerPairWorld<StreamMemory> {
 public:
  [[nodiscard]] Store choose(FuzzInput& input) {
    const bool is_tail = input.byte() % 4 != 0;
    ProducerPage& page = memory_.pages.producer();
    return PairPages::aim(is_tail ? page.tail : page.abort_before, input, ends.end->position() + 5,
                          kCapacity);
  }
  void call(FuzzInput& input, Tally& tally) {
    const std::uint64_t before = ends.end->position();
    do_call(input.byte(), input.byte(), tally);
    check_after(before, tally);
  }

 private:
  void do_call(std::uint8_t which, std::uint8_t argument, Tally& tally) {
    Consumer& end = *ends.end;
    switch (which % 8) {
      case 0:
      case 1:
      case 2: {
        StreamView view;
        const Transfer answer = end.try_peek(view, argument);
        tally.count(answer);
        if (answer != Transfer::kDone) return;
        tally.expect(memory_.contains(view.bytes), "bytes outside the ring");
        if (tally.broken != nullptr) return;
        tally.look_at(view.bytes.first);
        tally.look_at(view.bytes.second);
        tally.expect(view.redelivered_bytes <= kCapacity && view.aborted_bytes <= kCapacity,
                     "more bytes marked than the ring holds");
        return end.consume(argument % (view.bytes.size() + 1));
      }
      case 3:
      case 4: {
        std::array<std::byte, 2 * kCapacity> bytes;
        std::size_t count = 0;
        tally.count(end.try_read(std::span(bytes).first(argument % bytes.size()), count));
        return tally.expect(count <= kCapacity, "more bytes than the ring holds");
      }
      case 5:
        tally.expect(end.skip_aborted() <= kCapacity, "more skipped than the ring holds");
        return tally.count(Answer::kAsked);
      case 6:
        static_cast<void>(end.has_bytes(argument) || end.has_abort());
        return tally.count(Answer::kAsked);
      default:
        return end.publish_credit();
    }
  }
};

class ProducerWorld : public ProducerPairWorld<StreamMemory> {
 public:
  void call(FuzzInput& input, Tally& tally) {
    const std::uint64_t before = ends.end->position();
    do_call(input.byte(), input.byte(), tally);
    check_after(before, tally);
  }

 private:
  void do_call(std::uint8_t which, std::uint8_t argument, Tally& tally) {
    Producer& end = *ends.end;
    switch (which % 8) {
      case 0:
      case 1:
      case 2: {
        static constexpr std::array<std::byte, 2 * kCapacity> kBytes{};
        std::size_t count = 0;
        tally.count(end.try_write(std::span(kBytes).first(argument % kBytes.size()), count));
        return tally.expect(count <= kCapacity, "more bytes than the ring holds");
      }
      case 3:
      case 4: {
        StreamParts<std::byte> room;
        const Transfer answer = end.try_reserve(room, argument);
        tally.count(answer);
        if (answer != Transfer::kDone) return;
        tally.expect(memory_.contains(room), "room outside the ring");
        if (tally.broken != nullptr) return;
        for (std::byte& byte : room.first) byte = std::byte{which};
        for (std::byte& byte : room.second) byte = std::byte{which};
        return end.commit(argument % (room.size() + 1));
      }
      case 5:
        tally.expect(end.position() - end.done() <= kCapacity, "done beyond a ring's length");
        return tally.count(Answer::kAsked);
      case 6:
        static_cast<void>(end.has_space(argument % (kCapacity + 1)));
        return tally.count(Answer::kAsked);
      default:
        return end.abort_published();
    }
  }
};

constexpr std::array<TargetInfo, 2> kTargets{{
    {"stream_consumer", TargetKind::kShared,
     "1-4 x (a store to tail or abort_before; a peek, read, skip or question); a successor",
     make_target<SceneTarget<ConsumerWorld>>},
    {"stream_producer", TargetKind::kShared,
     "1-4 x (a store to credit, done or taken; a write, reserve, abort or question); a successor",
     make_target<SceneTarget<ProducerWorld>>},
}};

}  // namespace

std::span<const TargetInfo> stream_targets() {
  return kTargets;
}

}  // namespace slipring::fuzz

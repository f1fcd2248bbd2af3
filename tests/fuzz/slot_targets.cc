// The slot ring's ends.
#include <array>

#include "core/ring/slot_ring.h"
#include "tests/fuzz/pair_pages.h"
#include "tests/fuzz/pair_world.h"
#include "tests/fuzz/scene_target.h"
#include "tests/fuzz/targets.h"

namespace slipring::fuzz {
namespace {

constexpr std::uint32_t kSlotBytes = 24;

struct SlotMemory {
  using Producer = BasicSlotProducer<FuzzAtomics>;
  using Consumer = BasicSlotConsumer<FuzzAtomics>;
  static constexpr std::uint64_t kCapacity = 8;
  static constexpr std::array<std::uint64_t, 4> kFills{0, 1, 5, 8};

  PairPages pages;
  GuardedBlock slots{kCapacity * slot_stride_bytes(kSlotBytes)};
  std::array<GuardedBlock*, 3> all{&pages.producer_block, &pages.consumer_block, &slots};
  SlotGeometry geometry{kCapacity, kSlotBytes, 0};

  [[nodiscard]] Result<Producer> producer() const {
    return Producer::attach(pages.producer(), slots.data(), pages.consumer(), geometry);
  }
  [[nodiscard]] Result<Consumer> consumer() const {
    return Consumer::attach(pages.consumer(), pages.producer(), slots.data(), geometry);
  }
  [[nodiscard]] std::atomic<std::uint64_t>& sequence(std::uint64_t position) const {
    return slots.as<std::atomic<std::uint64_t>>(position % kCapacity *
                                                slot_stride_bytes(kSlotBytes));
  }
  // Five messages have come and gone, `fill` are there.
  void build(std::uint64_t fill) const {
    Producer producing = producer().value();
    Consumer consuming = consumer().value();
    std::array<std::byte, kSlotBytes> message{};
    for (std::uint64_t i = 0; i < 5; ++i) {
      must(producing.try_push(message) == Transfer::kDone);
      must(consuming.try_pop(message) == Transfer::kDone);
    }
    for (std::uint64_t i = 0; i < fill; ++i) {
      must(producing.try_push(message) == Transfer::kDone);
    }
  }
};

class ConsumerWorld : public ConsumerPairWorld<SlotMemory> {
 public:
  [[nodiscard]] Store choose(FuzzInput& input) {
    const std::uint8_t which = input.byte();
    const std::uint64_t next = ends.end->position();
    ProducerPage& page = memory_.pages.producer();
    std::atomic<std::uint64_t>& word = which % 16 == 0   ? page.tail
                                       : which % 16 < 4  ? page.abort_before
                                       : which % 16 < 12 ? memory_.sequence(next)
                                                         : memory_.sequence(next + which / 16);
    return PairPages::aim(word, input, next + 1, kCapacity);
  }
  void call(FuzzInput& input, Tally& tally) {
    const std::uint64_t before = ends.end->position();
    do_call(input.byte(), tally);
    check_after(before, tally);
  }

 private:
  void release_all() {
    Consumer& end = *ends.end;
    if (end.position() == end.done()) return;
    SlotView last;
    last.position = end.position() - 1;
    end.release(last);
  }

  void do_call(std::uint8_t which, Tally& tally) {
    Consumer& end = *ends.end;
    switch (which % 8) {
      case 0:
      case 1:
      case 2: {
        SlotView view;
        const Transfer answer = end.try_peek(view);
        tally.count(answer);
        if (answer != Transfer::kDone) return;
        tally.expect(memory_.slots.contains(view.message), "a message outside the ring");
        tally.expect(view.message.size() == kSlotBytes, "a message of another size");
        tally.look_at(view.message);
        if (which >= 128) end.release(view);
        return;
      }
      case 3:
      case 4: {
        std::array<std::byte, 2 * kSlotBytes> message;
        return tally.count(end.try_pop(std::span(message).first(which % 48)));
      }
      case 5:
        release_all();
        tally.expect(end.skip_aborted() <= kCapacity, "more skipped than the ring holds");
        return tally.count(Answer::kAsked);
      case 6:
        static_cast<void>(end.has_message() || end.has_abort());
        return tally.count(Answer::kAsked);
      default:
        return end.publish_credit();
    }
  }
};

class ProducerWorld : public ProducerPairWorld<SlotMemory> {
 public:
  void call(FuzzInput& input, Tally& tally) {
    const std::uint64_t before = ends.end->position();
    do_call(input.byte(), tally);
    check_after(before, tally);
  }

 private:
  void do_call(std::uint8_t which, Tally& tally) {
    Producer& end = *ends.end;
    switch (which % 8) {
      case 0:
      case 1: {
        const std::array<std::byte, kSlotBytes> message{};
        return tally.count(end.try_push(std::span(message).first(which % (kSlotBytes + 1))));
      }
      case 2:
      case 3:
      case 4: {
        std::span<std::byte> slot;
        const Transfer answer = end.try_reserve(slot);
        tally.count(answer);
        if (answer != Transfer::kDone) return;
        tally.expect(memory_.slots.contains(slot), "a slot outside the ring");
        for (std::byte& byte : slot) byte = std::byte{which};
        if (which >= 64) end.commit();
        return;
      }
      case 5: {  // what a successor asks about what is under way
        std::uint64_t at = end.done();
        tally.expect(at <= end.position() && end.position() - at <= kCapacity,
                     "more under way than the ring holds");
        for (; at != end.position() && tally.broken == nullptr; ++at) {
          tally.expect(memory_.slots.contains(end.published(at)), "a message outside the ring");
          tally.look_at(end.published(at));
        }
        return tally.count(Answer::kAsked);
      }
      case 6:
        static_cast<void>(end.has_space());
        return tally.count(Answer::kAsked);
      default:
        return end.abort_published();
    }
  }
};

constexpr std::array<TargetInfo, 2> kTargets{{
    {"slot_consumer", TargetKind::kShared,
     "1-4 x (a store to tail, abort_before or a sequence; a peek, pop, release, skip or question); "
     "a successor",
     make_target<SceneTarget<ConsumerWorld>>},
    {"slot_producer", TargetKind::kShared,
     "1-4 x (a store to credit, done or taken; a push, reserve, abort or question); a successor",
     make_target<SceneTarget<ProducerWorld>>},
}};

}  // namespace

std::span<const TargetInfo> slot_targets() {
  return kTargets;
}

}  // namespace slipring::fuzz

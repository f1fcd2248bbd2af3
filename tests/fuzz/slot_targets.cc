// The slot ring's ends.
#include <array>
#include <optional>

#include "core/ring/slot_ring.h"
#include "tests/fuzz/pair_pages.h"
#include "tests/fuzz/scene_target.h"
#include "tests/fuzz/targets.h"

namespace slipring::fuzz {
namespace {

using Producer = BasicSlotProducer<FuzzAtomics>;
using Consumer = BasicSlotConsumer<FuzzAtomics>;

constexpr std::uint64_t kCapacity = 8;
constexpr std::uint32_t kSlotBytes = 24;
constexpr std::array<std::uint64_t, 4> kFills{0, 1, 5, 8};

struct SlotMemory {
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
  // Five messages have come and gone, kFills[scene % 4] are there.
  void build(std::size_t scene) {
    geometry.start_position = kStarts[scene / kFills.size()];
    Producer producing = producer().value();
    Consumer consuming = consumer().value();
    std::array<std::byte, kSlotBytes> message{};
    for (std::uint64_t i = 0; i < 5; ++i) {
      check(producing.try_push(message) == Transfer::kDone, "a scene that does not come about");
      check(consuming.try_pop(message) == Transfer::kDone, "a scene that does not come about");
    }
    for (std::uint64_t i = 0; i < kFills[scene % kFills.size()]; ++i) {
      check(producing.try_push(message) == Transfer::kDone, "a scene that does not come about");
    }
  }
};

class ConsumerWorld {
 public:
  static constexpr std::size_t kSceneCount = kStarts.size() * kFills.size();
  static constexpr std::uint64_t kMostAccesses = kFewAccesses;
  static constexpr bool kStoresWithin = true;
  struct Ends {
    std::optional<Consumer> end;
    std::uint64_t start = 0;
  };
  Ends ends;

  [[nodiscard]] std::span<GuardedBlock* const> blocks() const { return memory_.all; }
  void build(std::size_t scene) {
    memory_.build(scene);
    ends.end.emplace(memory_.consumer().value());
    ends.start = memory_.geometry.start_position;
  }
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
    check_consumer(*ends.end, memory_.pages.consumer(), before, kCapacity, tally);
  }
  void check_successor(Tally& tally) {
    memory_.geometry.start_position = ends.start;
    memory_.pages.make_producer_honest(ends.end->position());
    const auto next = memory_.consumer();
    tally.expect(next.ok() && next.value().done() == ends.end->done(),
                 "the consumer's successor cannot go on");
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

  SlotMemory memory_;
};

class ProducerWorld {
 public:
  static constexpr std::size_t kSceneCount = kStarts.size() * kFills.size();
  static constexpr std::uint64_t kMostAccesses = kFewAccesses;
  static constexpr bool kStoresWithin = true;
  struct Ends {
    std::optional<Producer> end;
    std::uint64_t start = 0;
  };
  Ends ends;

  [[nodiscard]] std::span<GuardedBlock* const> blocks() const { return memory_.all; }
  void build(std::size_t scene) {
    memory_.build(scene);
    ends.end.emplace(memory_.producer().value());
    ends.start = memory_.geometry.start_position;
  }
  [[nodiscard]] Store choose(FuzzInput& input) {
    const std::uint8_t which = input.byte();
    ConsumerPage& page = memory_.pages.consumer();
    return PairPages::aim(which % 2 == 0   ? page.credit
                          : which % 8 != 1 ? page.done
                                           : page.taken,
                          input, ends.end->position(), kCapacity);
  }
  void call(FuzzInput& input, Tally& tally) {
    const std::uint64_t before = ends.end->position();
    do_call(input.byte(), tally);
    check_producer(*ends.end, memory_.pages.producer(), before, kCapacity, tally);
  }
  void check_successor(Tally& tally) {
    memory_.geometry.start_position = ends.start;
    memory_.pages.make_consumer_honest(ends.end->position());
    const auto next = memory_.producer();
    tally.expect(next.ok() && next.value().position() == ends.end->position(),
                 "the producer's successor cannot go on");
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

  SlotMemory memory_;
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

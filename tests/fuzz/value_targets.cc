// The typed ring's ends.
#include "tests/fuzz/targets.h"

#include <algorithm>
#include <array>
#include <optional>

#include "core/ring/spsc_ring.h"
#include "tests/fuzz/pair_pages.h"
#include "tests/fuzz/scene_target.h"

namespace slipring::fuzz {
namespace {

using Value = std::array<std::uint64_t, 3>;
using Producer = SpscProducer<Value, FuzzAtomics>;
using Consumer = SpscConsumer<Value, FuzzAtomics>;

// Seven values in eight places, so that the unused place is there to be found out.
constexpr std::uint64_t kCapacity = 7;
constexpr std::array<std::uint64_t, 4> kFills{0, 1, 5, 7};

struct ValueMemory {
  PairPages pages;
  GuardedBlock slots{8 * sizeof(Value)};
  std::array<GuardedBlock*, 3> all{&pages.producer_block, &pages.consumer_block, &slots};
  SpscGeometry geometry{kCapacity, 0};

  [[nodiscard]] Result<Producer> producer() const {
    return Producer::attach(pages.producer(), &slots.as<Value>(), pages.consumer(), geometry);
  }
  [[nodiscard]] Result<Consumer> consumer() const {
    return Consumer::attach(pages.consumer(), pages.producer(), &slots.as<Value>(), geometry);
  }
  // Five values have come and gone, kFills[scene % 4] are there.
  void build(std::size_t scene) {
    geometry.start_position = kStarts[scene / kFills.size()];
    Producer producing = producer().value();
    Consumer consuming = consumer().value();
    Value value{};
    for (std::uint64_t i = 0; i < 5; ++i) {
      check(producing.try_push(value) == Transfer::kDone, "a scene that does not come about");
      check(consuming.try_pop(value) == Transfer::kDone, "a scene that does not come about");
    }
    for (std::uint64_t i = 0; i < kFills[scene % kFills.size()]; ++i) {
      check(producing.try_push(value) == Transfer::kDone, "a scene that does not come about");
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
    const bool is_tail = input.byte() % 4 != 0;
    ProducerPage& page = memory_.pages.producer();
    return PairPages::aim(is_tail ? page.tail : page.abort_before, input, ends.end->position() + 1,
                          kCapacity);
  }
  void call(FuzzInput& input, Tally& tally) {
    const std::uint64_t before = ends.end->position();
    do_call(input.byte(), input.byte(), tally);
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
  [[nodiscard]] std::uint64_t held() const { return ends.end->position() - ends.end->done(); }

  void do_call(std::uint8_t which, std::uint8_t argument, Tally& tally) {
    Consumer& end = *ends.end;
    if (held() != 0 && (which % 8 < 4 || which % 8 == 5)) {
      end.release(1 + static_cast<std::size_t>(argument % held()));
      if (held() != 0) return tally.count(Answer::kAsked);
    }
    switch (which % 8) {
      case 0:
      case 1: {
        Value value{};
        return tally.count(end.try_pop(value));
      }
      case 2:
      case 3: {
        std::array<Value, 20> values;
        std::size_t popped = 0;
        tally.count(end.try_pop_batch(std::span(values).first(argument % 20), popped));
        return tally.expect(popped <= kCapacity, "more values than the ring holds");
      }
      case 4: {
        std::span<const Value> values;
        const Transfer answer = end.try_peek(values);
        tally.count(answer);
        if (answer != Transfer::kDone) return;
        tally.expect(memory_.slots.contains(std::as_bytes(values)), "values outside the ring");
        return tally.look_at(std::as_bytes(values));
      }
      case 5:
        tally.expect(end.skip_aborted() <= kCapacity, "more skipped than the ring holds");
        return tally.count(Answer::kAsked);
      case 6:
        static_cast<void>(end.has_value() || end.has_abort() || end.redelivered_count() != 0);
        return tally.count(Answer::kAsked);
      default:
        return end.publish_credit();
    }
  }

  ValueMemory memory_;
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
    do_call(input.byte(), input.byte(), tally);
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
  void do_call(std::uint8_t which, std::uint8_t argument, Tally& tally) {
    Producer& end = *ends.end;
    switch (which % 8) {
      case 0:
      case 1:
      case 2:
        return tally.count(end.try_push(Value{argument}));
      case 3:
      case 4: {
        const std::array<Value, 20> values{};
        std::size_t pushed = 0;
        return tally.count(end.try_push_batch(std::span(values).first(argument % 20), pushed));
      }
      case 5: {
        std::span<Value> slots;
        const Transfer answer = end.try_reserve(slots);
        tally.count(answer);
        if (answer != Transfer::kDone) return;
        tally.expect(memory_.slots.contains(std::as_bytes(slots)), "slots outside the ring");
        std::ranges::fill(slots, Value{argument});
        return end.commit(argument % (slots.size() + 1));
      }
      case 6:
        static_cast<void>(end.has_space());
        return tally.count(Answer::kAsked);
      default:
        return end.abort_published();
    }
  }

  ValueMemory memory_;
};

constexpr std::array<TargetInfo, 2> kTargets{{
    {"value_consumer", TargetKind::kShared,
     "1-4 x (a store to tail or abort_before; a pop, batch, peek, release, skip or question); "
     "a successor",
     make_target<SceneTarget<ConsumerWorld>>},
    {"value_producer", TargetKind::kShared,
     "1-4 x (a store to credit, done or taken; a push, batch, reserve, abort or question); a "
     "successor",
     make_target<SceneTarget<ProducerWorld>>},
}};

}  // namespace

std::span<const TargetInfo> value_targets() {
  return kTargets;
}

}  // namespace slipring::fuzz

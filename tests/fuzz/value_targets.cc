// The typed ring's ends.
#include "tests/fuzz/targets.h"

#include <algorithm>
#include <array>

#include "core/ring/spsc_ring.h"
#include "tests/fuzz/pair_pages.h"
#include "tests/fuzz/pair_world.h"
#include "tests/fuzz/scene_target.h"

namespace slipring::fuzz {
namespace {

using Value = std::array<std::uint64_t, 3>;
struct ValueMemory {
  using Producer = SpscProducer<Value, FuzzAtomics>;
  using Consumer = SpscConsumer<Value, FuzzAtomics>;
  // Seven values in eight places, so that the unused place is there to be found out.
  static constexpr std::uint64_t kCapacity = 7;
  static constexpr std::array<std::uint64_t, 4> kFills{0, 1, 5, 7};

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
  // Five values have come and gone, `fill` are there.
  void build(std::uint64_t fill) const {
    Producer producing = producer().value();
    Consumer consuming = consumer().value();
    Value value{};
    for (std::uint64_t i = 0; i < 5; ++i) {
      must(producing.try_push(value) == Transfer::kDone);
      must(consuming.try_pop(value) == Transfer::kDone);
    }
    for (std::uint64_t i = 0; i < fill; ++i) {
      must(producing.try_push(value) == Transfer::kDone);
    }
  }
};

class ConsumerWorld : public ConsumerPairWorld<ValueMemory> {
 public:
  [[nodiscard]] Store choose(FuzzInput& input) {
    const bool is_tail = input.byte() % 4 != 0;
    ProducerPage& page = memory_.pages.producer();
    return PairPages::aim(is_tail ? page.tail : page.abort_before, input, ends.end->position() + 1,
                          kCapacity);
  }
  void call(FuzzInput& input, Tally& tally) {
    const std::uint64_t before = ends.end->position();
    do_call(input.byte(), input.byte(), tally);
    check_after(before, tally);
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
};

class ProducerWorld : public ProducerPairWorld<ValueMemory> {
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

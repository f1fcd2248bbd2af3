// The many-to-many rings' ends, and the judging of a dead participant.  The hostile participant
// writes every slot and its own record, between calls and within them.
#include <array>
#include <cstddef>
#include <optional>

#include "core/ring/exchange_ring.h"
#include "core/ring/mpmc_ring.h"
#include "tests/fuzz/access_script.h"
#include "tests/fuzz/pair_pages.h"
#include "tests/fuzz/scene_target.h"
#include "tests/fuzz/targets.h"

namespace slipring::fuzz {
namespace {

using FuzzMemory = BasicMpmcMemory<FuzzAtomics>;

constexpr std::uint64_t kSlotCount = 8;
constexpr std::uint32_t kParticipantCount = 3;
constexpr std::uint32_t kProducer = 1;
constexpr std::uint32_t kConsumer = 2;
constexpr std::uint32_t kHostile = 3;
constexpr std::array<std::uint64_t, 4> kFills{0, 1, 5, 8};
// At most so many words to find a place; one store within a call makes one swap fail.
constexpr std::uint64_t kManyAccesses = 3 * (kMpmcMaxReads + 64);

// The slots and records that both kinds of rings have.
struct MpmcBlocks {
  GuardedBlock slots{kSlotCount * sizeof(MpmcSlot)};
  GuardedBlock records{kParticipantCount * sizeof(MpmcRecord)};

  [[nodiscard]] MpmcSlot* first_slot() const { return &slots.as<MpmcSlot>(); }
  [[nodiscard]] MpmcRecord* first_record() const { return &records.as<MpmcRecord>(); }

  // A word that the hostile participant may write, and what for.
  [[nodiscard]] Store choose(FuzzInput& input, const MpmcShape& shape) const {
    const std::uint8_t which = input.byte();
    MpmcRecord& record = first_record()[kHostile - 1];
    if (which % 8 < 6) {
      std::atomic<std::uint64_t>& slot = first_slot()[which / 8 % kSlotCount];
      const std::uint64_t now = PairPages::peek(slot);
      return {&slot, near_value(input, {now, now + shape.one(), shape.one()})};
    }
    // The banks' words are half as wide.
    auto& banks = records.as<std::atomic<std::uint64_t>>(
        (kHostile - 1) * sizeof(MpmcRecord) + offsetof(MpmcRecord, banks) + which / 128U * 32);
    std::atomic<std::uint64_t>& word = which % 32 == 6    ? record.intent
                                       : which % 32 == 7  ? record.finished
                                       : which % 32 == 14 ? banks
                                                          : record.evidence[which / 32];
    const std::uint64_t intent =
        MpmcIntent{which / 16U, which / 64U, 1, MpmcRole::kConsumer, which / 128U}.word();
    return {&word, hostile_value(input, {PairPages::peek(word), intent, 1U << 12})};
  }

 private:
  // Mostly a few steps of the state away: far states only make for long walks.
  [[nodiscard]] static std::uint64_t near_value(FuzzInput& input, const Aim& aim) {
    const std::uint8_t way = input.byte();
    if (way % 16 == 0) return hostile_value(input, aim);
    return aim.now + (way / 16 % 8) * aim.lap - 3 * aim.lap + (way >= 128 ? input.half() : 0);
  }
};

class MpmcWorld {
 public:
  static constexpr std::size_t kSceneCount = 2 * kFills.size();
  static constexpr std::uint64_t kMostAccesses = kManyAccesses;
  static constexpr bool kStoresWithin = true;
  struct Ends {
    std::optional<BasicMpmcProducer<FuzzMemory>> producer;
    std::optional<BasicMpmcConsumer<FuzzMemory>> consumer;
    MpmcGeometry geometry{kSlotCount, kParticipantCount, 32};
  };
  Ends ends;

  [[nodiscard]] std::span<GuardedBlock* const> blocks() const { return all_; }
  void build(std::size_t scene) {
    ends.geometry.payload_bits = scene < kFills.size() ? 32 : 9;
    ends.producer.emplace(
        BasicMpmcProducer<FuzzMemory>::attach(shared(), kProducer, ends.geometry).value());
    ends.consumer.emplace(
        BasicMpmcConsumer<FuzzMemory>::attach(shared(), kConsumer, ends.geometry).value());
    ends.producer->set_pauses(0);
    ends.consumer->set_pauses(0);
    std::uint32_t payload = 0;
    for (std::uint32_t i = 0; i < 5; ++i) {
      check(ends.producer->try_push(i) == Transfer::kDone, "a scene that does not come about");
      check(ends.consumer->try_pop(payload) == Transfer::kDone, "a scene that does not come about");
    }
    for (std::uint32_t i = 0; i < kFills[scene % kFills.size()]; ++i) {
      check(ends.producer->try_push(i) == Transfer::kDone, "a scene that does not come about");
    }
    if (scene % 2 == 0) ends.consumer->finish();
  }
  [[nodiscard]] Store choose(FuzzInput& input) {
    return memory_.choose(input, MpmcShape(ends.geometry));
  }
  void call(FuzzInput& input, Tally& tally) { do_call(input.byte(), tally); }
  // Both own records are as this code wrote them: nobody else may.
  void check_successor(Tally& tally) {
    tally.expect(BasicMpmcProducer<FuzzMemory>::attach(shared(), kProducer, ends.geometry).ok() &&
                     BasicMpmcConsumer<FuzzMemory>::attach(shared(), kConsumer, ends.geometry).ok(),
                 "a participant's successor cannot go on");
  }

 private:
  [[nodiscard]] MpmcShared shared() const { return {memory_.first_slot(), memory_.first_record()}; }

  void judge(bool settle, Tally& tally) {
    const auto estate = mpmc_recover<FuzzMemory>(shared(), kHostile, ends.geometry);
    if (!estate) return tally.count(Answer::kCorruptPeer);
    tally.expect(
        estate.value().count <= kMpmcBatch && estate.value().happened <= estate.value().count,
        "more happened than was meant to");
    if (settle) mpmc_settle<FuzzMemory>(shared(), kHostile);
    tally.count(estate.value().count != 0 ? Answer::kDone : Answer::kBlocked);
  }

  void do_call(std::uint8_t which, Tally& tally) {
    std::array<std::uint32_t, 12> payloads{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    switch (which % 8) {
      case 0:
      case 1:
        return tally.count(ends.producer->try_push(which));
      case 2: {
        const std::size_t count =
            ends.producer->try_push_batch(std::span(payloads).first(which / 22));
        return tally.expect(count <= payloads.size(), "more pushed than given");
      }
      case 3:
      case 4:
        return tally.count(ends.consumer->try_pop(payloads[0]));
      case 5: {
        const std::size_t count =
            ends.consumer->try_pop_batch(std::span(payloads).first(which / 22));
        if (which >= 128) ends.consumer->finish();
        return tally.expect(count <= kMpmcBatch, "more popped than a batch");
      }
      case 6:
        static_cast<void>(ends.producer->has_space() || ends.consumer->has_message());
        return tally.count(Answer::kAsked);
      default:
        return judge(which >= 128, tally);
    }
  }

  MpmcBlocks memory_;
  std::array<GuardedBlock*, 2> all_{&memory_.slots, &memory_.records};
};

class ExchangeWorld {
 public:
  static constexpr std::size_t kSceneCount = kFills.size();
  static constexpr std::uint64_t kMostAccesses = kManyAccesses;
  static constexpr bool kStoresWithin = true;
  static constexpr ExchangeGeometry kGeometry{kSlotCount, kParticipantCount, 64};
  struct Ends {
    std::optional<BasicExchangeProducer<FuzzMemory>> producer;
    std::optional<BasicExchangeConsumer<FuzzMemory>> consumer;
  };
  Ends ends;

  [[nodiscard]] std::span<GuardedBlock* const> blocks() const { return all_; }
  void build(std::size_t scene) {
    ends.producer.emplace(
        BasicExchangeProducer<FuzzMemory>::attach(shared(), kProducer, kGeometry).value());
    ends.consumer.emplace(
        BasicExchangeConsumer<FuzzMemory>::attach(shared(), kConsumer, kGeometry).value());
    ends.producer->set_pauses(0);
    ends.consumer->set_pauses(0);
    std::array<std::byte, 64> message{};
    for (int i = 0; i < 5; ++i) {
      check(ends.producer->try_push(message) == Transfer::kDone,
            "a scene that does not come about");
      check(ends.consumer->try_pop(message) == Transfer::kDone, "a scene that does not come about");
    }
    for (std::uint64_t i = 0; i < kFills[scene]; ++i) {
      check(ends.producer->try_push(message) == Transfer::kDone,
            "a scene that does not come about");
    }
  }
  [[nodiscard]] Store choose(FuzzInput& input) { return memory_.choose(input, shape()); }
  void call(FuzzInput& input, Tally& tally) {
    do_call(input.byte(), tally);
    const std::uint64_t count = exchange_buffer_count(kGeometry);
    tally.expect(ends.producer->spare_number() < count && ends.consumer->spare_number() < count,
                 "a buffer that does not exist");
    tally.expect(buffers_.contains(ends.producer->reserve()), "a buffer outside the ring");
  }
  void check_successor(Tally& tally) {
    tally.expect(BasicExchangeProducer<FuzzMemory>::attach(shared(), kProducer, kGeometry).ok() &&
                     BasicExchangeConsumer<FuzzMemory>::attach(shared(), kConsumer, kGeometry).ok(),
                 "a participant's successor cannot go on");
  }

 private:
  [[nodiscard]] static MpmcShape shape() { return MpmcShape(exchange_ring_of(kGeometry)); }
  [[nodiscard]] ExchangeShared shared() const {
    return {memory_.first_slot(), memory_.first_record(), buffers_.data()};
  }

  void do_call(std::uint8_t which, Tally& tally) {
    std::array<std::byte, 64> message{};
    switch (which % 8) {
      case 0:
      case 1:
        return tally.count(
            ends.producer->try_push(std::span<const std::byte>(message).first(which % 65)));
      case 2: {
        for (std::byte& byte : ends.producer->reserve()) byte = std::byte{which};
        return tally.count(ends.producer->commit());
      }
      case 3: {
        std::span<const std::byte> taken;
        const Transfer answer = ends.consumer->try_take(taken);
        tally.count(answer);
        if (answer != Transfer::kDone) return;
        tally.expect(buffers_.contains(taken), "a message outside the ring");
        if (tally.broken == nullptr) tally.look_at(taken);
        return;
      }
      case 4:
      case 5:
        return tally.count(ends.consumer->try_pop(std::span(message).first(which % 65)));
      case 6:
        static_cast<void>(ends.producer->has_space() || ends.consumer->has_message());
        return tally.count(Answer::kAsked);
      default: {  // the hostile one has died, and somebody takes its number
        const auto next = BasicExchangeConsumer<FuzzMemory>::attach(shared(), kHostile, kGeometry);
        tally.count(next.ok() ? Answer::kDone : Answer::kCorruptPeer);
        if (!next.ok()) return;
        return tally.expect(next.value().spare_number() < exchange_buffer_count(kGeometry),
                            "a buffer that does not exist");
      }
    }
  }

  MpmcBlocks memory_;
  GuardedBlock buffers_{exchange_buffers_bytes(kGeometry)};
  std::array<GuardedBlock*, 3> all_{&memory_.slots, &memory_.records, &buffers_};
};

constexpr std::array<TargetInfo, 2> kTargets{{
    {"mpmc", TargetKind::kShared,
     "1-4 x (a store to a slot or the hostile record; a push, pop, batch, question or judging of "
     "the "
     "hostile participant, "
     "successors",
     make_target<SceneTarget<MpmcWorld>>},
    {"exchange", TargetKind::kShared, "as mpmc, with buffers; a successor of the hostile one",
     make_target<SceneTarget<ExchangeWorld>>},
}};

}  // namespace

std::span<const TargetInfo> mpmc_targets() {
  return kTargets;
}

}  // namespace slipring::fuzz

// The consumer of many lanes, two of whose three producers are hostile and write all the bells.
#include <algorithm>
#include <array>
#include <optional>

#include "core/ring/mpsc_merge.h"
#include "core/ring/mpsc_ring.h"
#include "core/ring/slot_ring.h"
#include "tests/fuzz/pair_pages.h"
#include "tests/fuzz/scene_target.h"
#include "tests/fuzz/targets.h"

namespace slipring::fuzz {
namespace {

using Producer = BasicSlotProducer<FuzzAtomics>;
using Consumer = BasicSlotConsumer<FuzzAtomics>;
using Rounds = MpscConsumer<Consumer, FuzzAtomics>;
using Merge = MpscMerge<Consumer>;

constexpr std::uint32_t kLaneCount = 3;
constexpr std::uint32_t kHonest = 1;
constexpr std::uint64_t kCapacity = 4;
constexpr std::uint32_t kSlotBytes = 8;
constexpr std::uint64_t kStride = slot_stride_bytes(kSlotBytes);
constexpr MpscPolicy kPolicy{.quantum = 2, .scan_interval = 3};
// Rounds until all lanes have been scanned, of at most two quanta and one lie a lane, and the
// messages themselves.
constexpr int kMostCalls = 64;

struct LaneMemory {
  std::array<PairPages, kLaneCount> pages;
  GuardedBlock slots{kLaneCount * kCapacity * kStride};
  GuardedBlock bells{sizeof(BellPage)};
  std::array<GuardedBlock*, 8> all{&pages[0].producer_block,
                                   &pages[0].consumer_block,
                                   &pages[1].producer_block,
                                   &pages[1].consumer_block,
                                   &pages[2].producer_block,
                                   &pages[2].consumer_block,
                                   &slots,
                                   &bells};

  [[nodiscard]] std::byte* lane_slots(std::uint32_t lane) const {
    return slots.data() + lane * kCapacity * kStride;
  }
  [[nodiscard]] Consumer consumer(std::uint32_t lane) const {
    return Consumer::attach(pages[lane].consumer(), pages[lane].producer(), lane_slots(lane),
                            {kCapacity, kSlotBytes, 0})
        .value();
  }
  // Lane i has i + scene messages, as many as it holds at most.
  void build(std::size_t scene) const {
    for (std::uint32_t lane = 0; lane < kLaneCount; ++lane) {
      Producer producing = Producer::attach(pages[lane].producer(), lane_slots(lane),
                                            pages[lane].consumer(), {kCapacity, kSlotBytes, 0})
                               .value();
      BasicLaneBell<FuzzAtomics> bell(bells.as<BellPage>(), lane);
      for (std::size_t i = 0; i < lane + scene && i < kCapacity; ++i) {
        const std::uint64_t stamp = i;
        static_cast<void>(producing.try_push(std::as_bytes(std::span(&stamp, 1))));
        if (scene % 2 == 0) bell.ring();
      }
    }
  }
  // A word of the two hostile producers' memory, or any bell.
  [[nodiscard]] Store choose(FuzzInput& input, std::uint64_t position) const {
    const std::uint8_t which = input.byte();
    const std::uint32_t lane = which % 2 == 0 ? 0 : 2;
    ProducerPage& page = pages[lane].producer();
    std::atomic<std::uint64_t>& word =
        which % 16 < 4    ? bells.as<BellPage>().rings[which / 16 * 4 % kMaxLanes]
        : which % 16 == 4 ? page.tail
        : which % 16 == 5 ? page.abort_before
                          : slots.as<std::atomic<std::uint64_t>>(
                                (lane * kCapacity + (position + which / 64) % kCapacity) * kStride);
    return PairPages::aim(word, input, position + 1, kCapacity);
  }
  void look(std::uint32_t lane, std::span<const std::byte> message, Tally& tally) const {
    tally.expect(lane < kLaneCount, "a lane that there is not");
    if (tally.broken != nullptr) return;
    const std::span<const std::byte> own{lane_slots(lane), kCapacity * kStride};
    tally.expect(
        message.data() >= own.data() && message.data() + message.size() <= own.data() + own.size(),
        "a message outside its lane");
    if (tally.broken == nullptr) tally.look_at(message);
  }
};

template <typename Collector>
struct LaneEnds {
  std::array<std::optional<Consumer>, kLaneCount> lanes;
  std::optional<Collector> collector;
  std::uint64_t honest_left = 0;
};

// What both collectors of lanes are asked.
template <typename Self, typename Collector>
class LaneWorld {
 public:
  static constexpr std::size_t kSceneCount = 4;
  static constexpr std::uint64_t kMostAccesses = kFewAccesses;
  static constexpr bool kStoresWithin = true;
  using Ends = LaneEnds<Collector>;
  Ends ends;

  [[nodiscard]] std::span<GuardedBlock* const> blocks() const { return memory_.all; }
  void build(std::size_t scene) {
    memory_.build(scene);
    for (std::uint32_t lane = 0; lane < kLaneCount; ++lane) {
      ends.lanes[lane].emplace(memory_.consumer(lane));
    }
    static_cast<Self*>(this)->make_collector();
    ends.honest_left = std::min<std::uint64_t>(kHonest + scene, kCapacity);
  }
  [[nodiscard]] Store choose(FuzzInput& input) {
    return memory_.choose(input, ends.lanes[0]->position());
  }
  void check_successor(Tally& tally) {
    // The honest lane loses nothing, whatever the others do.
    for (int call = 0; call < kMostCalls && ends.honest_left != 0 && tally.broken == nullptr;
         ++call) {
      static_cast<Self*>(this)->take(true, tally);
    }
    tally.expect(ends.honest_left == 0, "an honest lane was not served");
    for (std::uint32_t lane = 0; lane < kLaneCount; ++lane) {
      memory_.pages[lane].make_producer_honest(ends.lanes[lane]->position());
      const auto next =
          Consumer::attach(memory_.pages[lane].consumer(), memory_.pages[lane].producer(),
                           memory_.lane_slots(lane), {kCapacity, kSlotBytes, 0});
      tally.expect(next.ok(), "a lane's next consumer cannot go on");
    }
  }

 protected:
  void note(const auto& message, Tally& tally) {
    memory_.look(message.lane, message.view.message, tally);
    if (message.lane == kHonest) --ends.honest_left;
  }
  LaneMemory memory_;
};

class RoundWorld : public LaneWorld<RoundWorld, Rounds> {
 public:
  void make_collector() {
    ends.collector.emplace(memory_.bells.as<BellPage>(), kPolicy);
    for (std::uint32_t lane = 0; lane < kLaneCount; ++lane) {
      ends.collector->join(lane, *ends.lanes[lane],
                           lane == 2 ? LaneService::kUrgent : LaneService::kFair);
    }
  }
  void call(FuzzInput& input, Tally& tally) {
    const std::uint8_t which = input.byte();
    if (which % 8 == 0) {
      static_cast<void>(ends.collector->has_message());
      return tally.count(Answer::kAsked);
    }
    take(which % 4 != 0, tally);
  }
  void take(bool finish, Tally& tally) {
    Rounds::Message message;
    const Transfer answer = ends.collector->try_peek(message);
    tally.count(answer);
    if (answer != Transfer::kDone) return;
    note(message, tally);
    if (finish) ends.collector->release(message);
  }
};

class MergeWorld : public LaneWorld<MergeWorld, Merge> {
 public:
  void make_collector() {
    ends.collector.emplace();
    for (std::uint32_t lane = 0; lane < kLaneCount; ++lane) {
      ends.collector->join(lane, *ends.lanes[lane]);
    }
  }
  void call(FuzzInput& input, Tally& tally) { take(input.byte() % 4 != 0, tally); }
  void take(bool finish, Tally& tally) {
    Merge::Message message;
    const Transfer answer = ends.collector->try_peek(message, [](const SlotView& view) {
      std::uint64_t stamp = 0;
      std::memcpy(&stamp, view.message.data(), sizeof stamp);
      return stamp;
    });
    tally.count(answer);
    if (answer == Transfer::kCorruptPeer) {
      tally.expect(message.lane != kHonest, "an honest lane is called corrupt");
      if (message.lane < kLaneCount) ends.collector->leave(message.lane);
    }
    if (answer != Transfer::kDone) return;
    note(message, tally);
    if (finish) ends.collector->release(message);
  }
};

constexpr std::array<TargetInfo, 2> kTargets{{
    {"lanes_round", TargetKind::kShared,
     "1-4 x (a store to a bell, or to a hostile lane's tail, fence or sequence; a peek); then the "
     "honest lane is read out, and every lane's successor attaches",
     make_target<SceneTarget<RoundWorld>>},
    {"lanes_merge", TargetKind::kShared, "as lanes_round, merged by stamps",
     make_target<SceneTarget<MergeWorld>>},
}};

}  // namespace

std::span<const TargetInfo> lane_targets() {
  return kTargets;
}

}  // namespace slipring::fuzz

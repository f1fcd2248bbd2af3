// Lanes: three producers with a lane each, one consumer.

#include <array>
#include <cstring>
#include <optional>

#include "core/ring/mpsc_ring.h"
#include "core/ring/slot_ring.h"
#include "tests/crash/campaign/pair_scenes.h"
#include "tests/crash/campaign/scenes.h"

namespace slipring::campaign {
namespace {

constexpr std::uint32_t kLanes = 3;
constexpr std::array<Role, kLanes + 1> kLaneRoles{
    Role{"producer0", RoleKind::kProducer}, Role{"producer1", RoleKind::kProducer},
    Role{"producer2", RoleKind::kProducer}, Role{"consumer", RoleKind::kConsumer}};

struct LaneMemory {
  struct Lane {
    alignas(4096) ProducerPage producer;
    alignas(4096) ConsumerPage consumer;
    alignas(4096) std::byte slots[256 * 64];
  };
  alignas(4096) BellPage bells;
  Lane lanes[kLanes];

  [[nodiscard]] static LaneMemory& of(Stage& stage) {
    return *reinterpret_cast<LaneMemory*>(stage.ring);
  }
};
static_assert(sizeof(LaneMemory) <= kRingBytes);

class LaneScene : public Scene {
 public:
  [[nodiscard]] const char* name() const override { return "lanes"; }
  [[nodiscard]] std::span<const Role> roles() const override { return kLaneRoles; }

  void begin(const Context& context) override {
    Chance chance(context.stage->seed);
    geometry_ = {std::uint64_t{2} << chance.below(7), 40,
                 chance.one_in(2) ? 0 : chance.next() >> 8};
    policy_ = {1 + chance.below(32), 1 + chance.below(256)};
    has_urgent_ = chance.one_in(3);
    std::memset(static_cast<void*>(context.stage->ring), 0, sizeof(LaneMemory));
  }
  void open_books(const Context& context, std::uint32_t role) override {
    if (role < kLanes) return context.stage->producers[role].begin_life();
    for (std::uint32_t i = 0; i < kLanes; ++i) context.stage->consumers[i].begin_life();
  }
  void play(Life& life) override {
    if (life.role() < kLanes) {
      produce(life);
    } else {
      consume(life);
    }
  }
  void judge(const Context& context) override {
    for (std::uint32_t i = 0; i < kLanes; ++i) judge_lane(context, i);
  }

 private:
  void produce(Life& life) {
    const std::uint32_t number = life.role();
    LaneMemory& memory = LaneMemory::of(life.stage());
    LaneMemory::Lane& lane = memory.lanes[number];
    auto end = life.must(SlotProducer::attach(lane.producer, lane.slots, lane.consumer, geometry_),
                         "a lane's producer was refused: code, found");
    LaneBell bell(memory.bells, number);
    Sender sender(life.stage().producers[number]);
    send_messages(life, sender, number, geometry_.slot_bytes, geometry_.slot_bytes,
                  [&](std::span<const std::byte> message) {
                    const Transfer answer = end.try_push(message);
                    if (answer == Transfer::kDone) bell.ring();
                    return answer;
                  });
  }

  void consume(Life& life) {
    LaneMemory& memory = LaneMemory::of(life.stage());
    MpscConsumer<SlotConsumer> end(memory.bells, policy_);
    std::array<std::optional<SlotConsumer>, kLanes> lanes;
    std::array<std::optional<Taker>, kLanes> takers;
    for (std::uint32_t i = 0; i < kLanes; ++i) {
      LaneMemory::Lane& lane = memory.lanes[i];
      lanes[i] =
          life.must(SlotConsumer::attach(lane.consumer, lane.producer, lane.slots, geometry_),
                    "a lane's consumer was refused: code, found");
      takers[i].emplace(life.stage().consumers[i]);
      const bool is_urgent = has_urgent_ && i == 0;
      end.join(i, *lanes[i], is_urgent ? LaneService::kUrgent : LaneService::kFair);
    }
    std::array<MpscConsumer<SlotConsumer>::Message, kLanes> held;
    std::array<bool, kLanes> holds{};
    const auto release = [&](std::uint32_t i) {
      if (!holds[i]) return;
      takers[i]->about_to_finish(takers[i]->end());
      life.now(Op::kFinish);
      end.release(held[i]);
      life.now(Op::kNothing);
      takers[i]->finished(takers[i]->end());
      holds[i] = false;
    };
    for (;;) {
      bool has_room = true;
      for (auto& taker : takers) has_room = life.has_room(*taker) && has_room;
      if (!has_room) continue;
      for (auto& taker : takers) taker->about_to_take(1);
      MpscConsumer<SlotConsumer>::Message message;
      life.now(Op::kTake);
      const Transfer answer = end.try_peek(message);
      life.now(Op::kNothing);
      for (std::uint32_t i = 0; i < kLanes; ++i) {
        takers[i]->took(answer == Transfer::kDone && message.lane == i ? 1 : 0);
      }
      if (answer == Transfer::kCorruptPeer) {
        life.fail(Wrong::kCorrupt, "a lane is corrupt: number", message.lane);
      }
      if (answer == Transfer::kDone) {
        const std::uint32_t i = message.lane;
        log_message(life, *takers[i], message.view.message, message.view.redelivered);
        held[i] = message;
        holds[i] = true;
        if (life.chance().one_in(3)) release(i);
        continue;
      }
      for (std::uint32_t i = 0; i < kLanes; ++i) release(i);
      // A message that nobody rang for is found by the next look at all lanes.
      if (!life.stays() && !end.has_message()) return;
    }
  }

  SlotGeometry geometry_{};
  MpscPolicy policy_;
  bool has_urgent_ = false;
};

}  // namespace

Scene& lane_scene() {
  static LaneScene scene;
  return scene;
}

}  // namespace slipring::campaign

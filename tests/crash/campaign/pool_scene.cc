// A buffer pool of one owner and one reader; its handles travel on a slot ring.

#include <array>
#include <cstdio>
#include <cstring>

#include "core/pool/buffer_pool.h"
#include "core/ring/slot_ring.h"
#include "tests/crash/campaign/pair_scenes.h"
#include "tests/crash/campaign/scenes.h"

namespace slipring::campaign {
namespace {

constexpr std::uint32_t kMaxBuffers = 64;

struct PoolSceneMemory {
  alignas(4096) ProducerPage producer;
  PoolWord lent[kMaxBuffers];
  alignas(4096) ConsumerPage consumer;
  PoolWord returned[kMaxBuffers];
  alignas(4096) std::byte slots[256 * 16];
  alignas(4096) std::byte buffers[kMaxBuffers * 512];

  [[nodiscard]] static PoolSceneMemory& of(Stage& stage) {
    return *reinterpret_cast<PoolSceneMemory*>(stage.ring);
  }
};
static_assert(sizeof(PoolSceneMemory) <= kRingBytes);

class PoolScene : public PairScene {
 public:
  [[nodiscard]] const char* name() const override { return "pool-slots"; }

  void judge(const Context& context) override {
    PairScene::judge(context);
    // All is read: every buffer is free.
    PoolSceneMemory& memory = PoolSceneMemory::of(*context.stage);
    const auto owner = PoolOwner::attach(memory.lent, memory.returned, memory.buffers, pool_);
    if (!owner || owner.value().lent_count() != 0) {
      context.report(Wrong::kLeaked, "buffers that are not free",
                     owner ? owner.value().lent_count() : pool_.buffer_count);
    }
  }
  void tell(const Context& context) const override {
    const PoolSceneMemory& memory = PoolSceneMemory::of(*context.stage);
    tell_cursors(memory.producer, memory.consumer);
    for (std::uint32_t slot = 0; slot < pool_.buffer_count; ++slot) {
      const std::uint64_t lent = memory.lent[slot].load();
      const std::uint64_t returned = memory.returned[slot].load();
      if (lent == returned) continue;
      std::fprintf(stderr, "  buffer %u: lent %llu, returned %llu\n", slot,
                   static_cast<unsigned long long>(lent),
                   static_cast<unsigned long long>(returned));
    }
  }

 private:
  void shape(const Context& context, Chance& chance) override {
    geometry_ = {std::uint64_t{2} << chance.below(6), sizeof(BufferHandle),
                 chance.one_in(2) ? 0 : chance.next() >> 8};
    pool_ = {2 + chance.below(kMaxBuffers - 1), 0, std::uint64_t{64} << chance.below(4)};
    if (context.plant == Plant::kLeak) pool_.buffer_count = kMaxBuffers;
    std::memset(static_cast<void*>(context.stage->ring), 0, sizeof(PoolSceneMemory));
  }

  // As a link's writer does it: what the ring still carries stays lent, the rest comes back.
  static void recover(const SlotProducer& end, PoolOwner& owner) {
    std::array<BufferHandle, kMaxBuffers * 4> in_flight;
    std::size_t count = 0;
    for (std::uint64_t at = end.done(); at != end.position(); ++at) {
      std::memcpy(&in_flight[count++], end.published(at).data(), sizeof(BufferHandle));
    }
    owner.recover({in_flight.data(), count});
  }

  void produce(Life& life) override {
    PoolSceneMemory& memory = PoolSceneMemory::of(life.stage());
    auto end =
        life.must(SlotProducer::attach(memory.producer, memory.slots, memory.consumer, geometry_),
                  "a slot producer was refused: code, found");
    auto owner = life.must(PoolOwner::attach(memory.lent, memory.returned, memory.buffers, pool_),
                           "a pool's owner was refused: code, found");
    if (life.context().plant != Plant::kLeak) recover(end, owner);
    Sender sender(life.stage().producers[0]);
    while (life.goes_on(sender)) {
      std::span<std::byte> slot;
      std::uint32_t buffer = 0;
      life.now(Op::kPush);
      Transfer answer = end.try_reserve(slot);
      if (answer == Transfer::kDone) answer = owner.try_acquire(buffer);
      life.now(Op::kNothing);
      if (answer == Transfer::kCorruptPeer) {
        life.fail(Wrong::kCorrupt, "a pool's owner found its reader corrupt", sender.next());
      }
      if (answer == Transfer::kBlocked) {
        life.idle();
        continue;
      }
      write_message(owner.bytes(buffer), {sender.next(), 0, sender.life()});
      sender.about_to_send(1);
      life.now(Op::kPush);
      const BufferHandle handle = owner.lend(buffer);
      if (life.context().plant == Plant::kLeak) life.idle();  // more often in between
      std::memcpy(slot.data(), &handle, sizeof handle);
      end.commit();
      owner.drop(buffer);
      life.now(Op::kNothing);
      sender.sent(1);
      life.moved();
    }
  }

  void consume(Life& life) override {
    PoolSceneMemory& memory = PoolSceneMemory::of(life.stage());
    auto end =
        life.must(SlotConsumer::attach(memory.consumer, memory.producer, memory.slots, geometry_),
                  "a slot consumer was refused: code, found");
    auto pool = life.must(PoolReader::attach(memory.returned, memory.lent, memory.buffers, pool_),
                          "a pool's reader was refused: code, found");
    Taker taker(life.stage().consumers[0]);
    for (;;) {
      if (!life.has_room(taker)) continue;
      SlotView view;
      taker.about_to_take(1);
      life.now(Op::kTake);
      const Transfer answer = end.try_peek(view);
      life.now(Op::kNothing);
      if (answer == Transfer::kCorruptPeer) {
        life.fail(Wrong::kCorrupt, "a slot consumer found its producer corrupt", taker.end());
      }
      if (answer == Transfer::kBlocked) {
        taker.took(0);
        if (!life.stays()) return;
        continue;
      }
      BufferHandle handle;
      std::memcpy(&handle, view.message.data(), sizeof handle);
      if (pool.holds(handle)) {
        log_message(life, taker, pool.bytes(handle), view.redelivered);
        taker.about_to_finish(taker.end());
      } else if (!view.redelivered) {  // else a predecessor had given it back already
        life.fail(Wrong::kInvented, "a handle that names nothing lent: slot, generation",
                  handle.slot, handle.generation);
      }
      life.now(Op::kFinish);
      pool.give_back(handle);
      end.release(view);
      life.now(Op::kNothing);
      taker.finished(taker.end());
    }
  }

  SlotGeometry geometry_{};
  PoolGeometry pool_{};
};

}  // namespace

Scene& pool_scene() {
  static PoolScene scene;
  return scene;
}

}  // namespace slipring::campaign

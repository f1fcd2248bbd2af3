// The rings with any number of producers and consumers: handles, exchanged buffers, and handles of
// a shared pool's buffers.

#include <array>
#include <cstring>

#include "core/pool/pool_recovery.h"
#include "core/pool/shared_pool.h"
#include "core/ring/exchange_ring.h"
#include "core/ring/mpmc_ring.h"
#include "tests/crash/campaign/pair_scenes.h"
#include "tests/crash/campaign/scenes.h"

namespace slipring::campaign {
namespace {

constexpr std::uint32_t kProducers = 2;
constexpr std::uint32_t kConsumers = 2;
constexpr std::uint32_t kMembers = kProducers + kConsumers;
constexpr std::array<Role, kMembers> kCrowdRoles{
    Role{"producer0", RoleKind::kProducer}, Role{"producer1", RoleKind::kProducer},
    Role{"consumer0", RoleKind::kConsumer}, Role{"consumer1", RoleKind::kConsumer}};

struct CrowdMemory {
  alignas(4096) std::byte slots[8192];
  alignas(4096) std::byte records[kMembers * sizeof(MpmcRecord)];
  alignas(4096) std::byte words[4096];  // a shared pool's
  alignas(4096) std::byte pages[kMembers * kPoolPageBytes];
  alignas(4096) std::byte buffers[512 * 1024];

  [[nodiscard]] static CrowdMemory& of(Stage& stage) {
    return *reinterpret_cast<CrowdMemory*>(stage.ring);
  }
  [[nodiscard]] MpmcShared shared() {
    return {reinterpret_cast<MpmcSlot*>(slots), reinterpret_cast<MpmcRecord*>(records)};
  }
};
static_assert(sizeof(CrowdMemory) <= kRingBytes);

class CrowdScene : public Scene {
 public:
  [[nodiscard]] std::span<const Role> roles() const override { return kCrowdRoles; }
  void begin(const Context& context) override {
    Chance chance(context.stage->seed);
    std::memset(static_cast<void*>(context.stage->ring), 0, sizeof(CrowdMemory));
    for (std::uint32_t i = 0; i < kProducers; ++i) context.stage->producers[i].has_stamps = 1;
    shape(context, chance);
  }
  void open_books(const Context& context, std::uint32_t role) override {
    if (role < kProducers) {
      context.stage->producers[role].begin_life();
    } else {
      context.stage->consumers[role - kProducers].begin_life();
    }
  }
  void play(Life& life) override {
    if (life.role() < kProducers) {
      produce(life);
    } else {
      consume(life);
    }
  }
  void judge(const Context& context) override {
    judge_crowd(context, kProducers, kConsumers);
    census(context);
  }

 protected:
  virtual void shape(const Context& context, Chance& chance) = 0;
  virtual void produce(Life& life) = 0;
  virtual void consume(Life& life) = 0;
  virtual void census(const Context& /*context*/) {}
};

// A message of 32 bits: number, producer, and bits made of both.
[[nodiscard]] std::uint32_t packed(std::uint32_t id, std::uint32_t producer) {
  const std::uint32_t low = id | producer << 18;
  return low | static_cast<std::uint32_t>(mixed(low)) << 20;
}
static_assert(kMaxIds <= 1U << 18);

void log_packed(Life& life, Taker& taker, std::uint32_t payload, bool is_marked) {
  LogEntry entry{};
  entry.id = payload & ((1U << 18) - 1);
  entry.producer = static_cast<std::uint8_t>(payload >> 18 & 3);
  entry.flags = is_marked ? kMarked : 0;
  if (packed(entry.id, entry.producer) != payload) {
    life.fail(Wrong::kTorn, "not a message that anybody sent", payload);
  }
  taker.log(entry);
  life.moved();
}

class MpmcScene : public CrowdScene {
 public:
  [[nodiscard]] const char* name() const override { return "mpmc"; }

 private:
  void shape(const Context& /*context*/, Chance& chance) override {
    geometry_ = {std::uint64_t{1} << chance.below(9), kMembers, 32};
  }

  void produce(Life& life) override {
    const std::uint32_t role = life.role();
    auto end =
        life.must(MpmcProducer::attach(CrowdMemory::of(life.stage()).shared(), role + 1, geometry_),
                  "an mpmc producer was refused: code, found");
    Sender sender(life.stage().producers[role]);
    const bool in_batches = life.chance().one_in(2);
    std::array<std::uint32_t, 8> batch;
    while (life.goes_on(sender)) {
      const std::uint32_t count = in_batches ? 1 + life.chance().below(8) : 1;
      for (std::uint32_t i = 0; i < count; ++i) batch[i] = packed(sender.next() + i, role);
      sender.stamp_begun(life.stage().clock, count);
      sender.about_to_send(count);
      life.now(Op::kPush);
      std::uint32_t pushed = 0;
      if (in_batches) {
        pushed = static_cast<std::uint32_t>(end.try_push_batch({batch.data(), count}));
      } else {
        const Transfer answer = end.try_push(batch[0]);
        if (answer == Transfer::kCorruptPeer) {
          life.fail(Wrong::kCorrupt, "an mpmc producer found its ring corrupt", sender.next());
        }
        pushed = answer == Transfer::kDone ? 1 : 0;
      }
      life.now(Op::kNothing);
      sender.stamp_over(life.stage().clock, pushed);
      sender.sent(pushed);
      sender.refused();
      if (pushed == 0) {
        life.idle();
      } else {
        life.moved();
      }
    }
  }

  void consume(Life& life) override {
    const std::uint32_t who = life.role() + 1;
    const MpmcShared shared = CrowdMemory::of(life.stage()).shared();
    if (life.context().plant == Plant::kNoRecovery) mpmc_settle(shared, who);
    auto end = life.must(MpmcConsumer::attach(shared, who, geometry_),
                         "an mpmc consumer was refused: code, found");
    Taker taker(life.stage().consumers[life.role() - kProducers]);
    const std::uint32_t most = life.chance().one_in(2) ? 8 : 1;
    std::array<std::uint32_t, 8> batch;
    for (;;) {
      if (!life.has_room(taker)) continue;
      const std::uint32_t wanted = 1 + life.chance().below(most);
      const std::uint32_t before = taker.end();
      // The call finishes what the last one took.
      taker.about_to_take(wanted);
      taker.about_to_finish(before);
      life.now(Op::kTake);
      const std::size_t count = pop(life, end, {batch.data(), wanted});
      life.now(Op::kNothing);
      const bool is_marked = count != 0 && end.redelivered();
      if (is_marked) {
        taker.about_to_finish(0);
      } else {
        taker.finished(before);
      }
      taker.took(static_cast<std::uint32_t>(count));
      for (std::size_t i = 0; i < count; ++i) log_packed(life, taker, batch[i], is_marked);
      if (count == 0 && !life.stays()) return;
      if (count == 0 || is_marked || !life.chance().one_in(3)) continue;
      taker.about_to_finish(taker.end());
      life.now(Op::kFinish);
      end.finish();
      life.now(Op::kNothing);
      taker.finished(taker.end());
    }
  }

  [[nodiscard]] static std::size_t pop(Life& life, MpmcConsumer& end,
                                       std::span<std::uint32_t> payloads) {
    if (payloads.size() > 1) return end.try_pop_batch(payloads);
    const Transfer answer = end.try_pop(payloads[0]);
    if (answer == Transfer::kCorruptPeer) {
      life.fail(Wrong::kCorrupt, "an mpmc consumer found its ring corrupt");
    }
    return answer == Transfer::kDone ? 1 : 0;
  }

  MpmcGeometry geometry_{};
};

class ExchangeScene : public CrowdScene {
 public:
  [[nodiscard]] const char* name() const override { return "exchange"; }

 private:
  void shape(const Context& /*context*/, Chance& chance) override {
    geometry_ = {std::uint64_t{1} << chance.below(8), kMembers, 64U << chance.below(3)};
  }
  [[nodiscard]] static ExchangeShared shared(Stage& stage) {
    CrowdMemory& memory = CrowdMemory::of(stage);
    return {memory.shared().slots, memory.shared().records, memory.buffers};
  }

  void produce(Life& life) override {
    const std::uint32_t role = life.role();
    auto end = life.must(ExchangeProducer::attach(shared(life.stage()), role + 1, geometry_),
                         "an exchange producer was refused: code, found");
    Sender sender(life.stage().producers[role]);
    const bool in_place = life.chance().one_in(2);
    std::array<std::byte, 256> bytes;
    while (life.goes_on(sender)) {
      const std::span<std::byte> message(bytes.data(), geometry_.buffer_bytes);
      write_message(in_place ? end.reserve() : message, {sender.next(), role, sender.life()});
      sender.stamp_begun(life.stage().clock, 1);
      sender.about_to_send(1);
      life.now(Op::kPush);
      const Transfer answer = in_place ? end.commit() : end.try_push(message);
      life.now(Op::kNothing);
      if (answer == Transfer::kDone) {
        sender.stamp_over(life.stage().clock, 1);
        sender.sent(1);
        life.moved();
      } else if (answer == Transfer::kBlocked) {
        sender.refused();
        life.idle();
      } else {
        life.fail(Wrong::kCorrupt, "an exchange producer found its ring corrupt", sender.next());
      }
    }
  }

  void consume(Life& life) override {
    auto end = life.must(ExchangeConsumer::attach(shared(life.stage()), life.role() + 1, geometry_),
                         "an exchange consumer was refused: code, found");
    Taker taker(life.stage().consumers[life.role() - kProducers]);
    for (;;) {
      if (!life.has_room(taker)) continue;
      const std::uint32_t before = taker.end();
      std::span<const std::byte> message;
      taker.about_to_take(1);
      taker.about_to_finish(before);
      life.now(Op::kTake);
      const Transfer answer = end.try_take(message);
      life.now(Op::kNothing);
      if (answer == Transfer::kCorruptPeer) {
        life.fail(Wrong::kCorrupt, "an exchange consumer found its ring corrupt", before);
      }
      taker.finished(before);
      if (answer == Transfer::kBlocked) {
        taker.took(0);
        if (!life.stays()) return;
        continue;
      }
      log_message(life, taker, message, end.redelivered());
      if (!life.chance().one_in(3)) continue;
      taker.about_to_finish(taker.end());
      life.now(Op::kFinish);
      end.finish();
      life.now(Op::kNothing);
      taker.finished(taker.end());
    }
  }

  // Every buffer is in a slot, or somebody's spare.
  void census(const Context& context) override {
    const ExchangeShared memory = shared(*context.stage);
    const MpmcShape shape(exchange_ring_of(geometry_));
    std::array<std::uint8_t, 1024> seen{};
    const auto count = [&](std::uint64_t buffer) {
      if (buffer >= exchange_buffer_count(geometry_) || seen[buffer]++ != 0) {
        context.report(Wrong::kLeaked, "a buffer in two places, or none: number", buffer);
      }
    };
    for (std::uint64_t i = 0; i < geometry_.slot_count; ++i) {
      const std::uint64_t word = memory.slots[i].load();
      count(shape.who_of(word) == 0 ? i : shape.payload_of(word));
    }
    for (std::uint32_t who = 1; who <= kMembers; ++who) {
      if (who <= kProducers) {
        const auto end = ExchangeProducer::attach(memory, who, geometry_);
        if (end) count(end.value().spare_number());
      } else {
        const auto end = ExchangeConsumer::attach(memory, who, geometry_);
        if (end) count(end.value().spare_number());
      }
    }
    for (std::uint64_t i = 0; i < exchange_buffer_count(geometry_); ++i) {
      if (seen[i] != 1) context.report(Wrong::kLeaked, "a buffer is not in one place: number", i);
    }
  }

  ExchangeGeometry geometry_{};
};

// A shared pool's buffers, their handles on an mpmc ring.  Member i of the pool is participant i +
// 1 of the ring.  What a dead one had is brought back by a reaper, which may be killed too.
class SharedPoolScene : public CrowdScene {
 public:
  [[nodiscard]] const char* name() const override { return "shared-pool"; }
  [[nodiscard]] bool needs_reaper() const override { return true; }

  void recover(Life& life, std::uint32_t dead) override {
    const MpmcShared ring = CrowdMemory::of(life.stage()).shared();
    const MpmcEstate estate = life.must(mpmc_recover(ring, dead + 1, geometry_),
                                        "a dead participant could not be judged: code, found");
    const auto carried = [&](const PoolDoubt& doubt) {
      if (life.context().plant == Plant::kWrongReaper) return doubt.state == BufferState::kInFlight;
      for (std::uint32_t i = 0; i < estate.happened; ++i) {
        if (estate.payloads[i] != compact_handle(pool_geometry_, doubt.handle)) continue;
        const bool is_pushed = doubt.state == BufferState::kInFlight;
        return (estate.role == MpmcRole::kProducer) == is_pushed;
      }
      return false;
    };
    (void)life.must(recover_participant(pool_memory(life.stage()), pool_geometry_, dead, carried),
                    "a dead participant's buffers could not be recovered: code, found");
  }

 private:
  void shape(const Context& /*context*/, Chance& chance) override {
    geometry_ = {std::uint64_t{2} << chance.below(5), kMembers, 32};
    pool_geometry_ = {8 + chance.below(57), kMembers, 64U << chance.below(3)};
  }
  [[nodiscard]] static PoolMemory pool_memory(Stage& stage) {
    CrowdMemory& memory = CrowdMemory::of(stage);
    return {reinterpret_cast<std::atomic<std::uint64_t>*>(memory.words), memory.pages,
            memory.buffers};
  }

  void produce(Life& life) override {
    const std::uint32_t role = life.role();
    auto end =
        life.must(MpmcProducer::attach(CrowdMemory::of(life.stage()).shared(), role + 1, geometry_),
                  "an mpmc producer was refused: code, found");
    auto pool = life.must(SharedPool::attach(pool_memory(life.stage()), pool_geometry_, role),
                          "a pool's participant was refused: code, found");
    Sender sender(life.stage().producers[role]);
    PoolHandle handle;
    while (life.goes_on(sender)) {
      if (handle.is_null()) {
        life.now(Op::kPush);
        const Transfer answer = pool.try_acquire(handle);
        life.now(Op::kNothing);
        if (answer == Transfer::kCorruptPeer) life.fail(Wrong::kCorrupt, "a pool is corrupt");
        if (answer == Transfer::kBlocked) {
          life.idle();
          continue;
        }
      }
      write_message(pool.bytes(handle), {sender.next(), role, sender.life()});
      sender.stamp_begun(life.stage().clock, 1);
      sender.about_to_send(1);
      life.now(Op::kPush);
      const Transfer answer = pool.send(handle, 0, [&](const PoolHandle& sent) {
        return end.try_push(compact_handle(pool_geometry_, sent));
      });
      life.now(Op::kNothing);
      if (answer == Transfer::kCorruptPeer) life.fail(Wrong::kCorrupt, "a send found corruption");
      if (answer == Transfer::kBlocked) {
        sender.refused();
        life.idle();
        continue;
      }
      handle = {};
      sender.stamp_over(life.stage().clock, 1);
      sender.sent(1);
      life.moved();
    }
    if (!handle.is_null()) pool.give_back(handle);
    pool.return_cache();
  }

  void consume(Life& life) override {
    auto end = life.must(
        MpmcConsumer::attach(CrowdMemory::of(life.stage()).shared(), life.role() + 1, geometry_),
        "an mpmc consumer was refused: code, found");
    auto pool =
        life.must(SharedPool::attach(pool_memory(life.stage()), pool_geometry_, life.role()),
                  "a pool's participant was refused: code, found");
    Taker taker(life.stage().consumers[life.role() - kProducers]);
    for (;;) {
      if (!life.has_room(taker)) continue;
      std::uint32_t payload = 0;
      taker.about_to_take(1);
      life.now(Op::kTake);
      const Transfer answer = end.try_pop(payload);
      life.now(Op::kNothing);
      if (answer == Transfer::kCorruptPeer) life.fail(Wrong::kCorrupt, "a ring is corrupt");
      if (answer == Transfer::kBlocked) {
        taker.took(0);
        if (life.stays()) continue;
        pool.return_cache();
        return;
      }
      take_buffer(life, taker, pool, payload, end.redelivered());
      taker.took(0);
      life.now(Op::kFinish);
      end.finish();
      life.now(Op::kNothing);
      taker.finished(taker.end());
    }
  }

  static void take_buffer(Life& life, Taker& taker, SharedPool& pool, std::uint32_t payload,
                          bool is_marked) {
    const PoolHandle handle = pool.expand(payload);
    if (handle.is_null()) {
      // A predecessor gave the buffer back and died before it could say that it was done.
      if (is_marked) return;
      life.fail(Wrong::kInvented, "a handle that names nothing in flight", payload);
    }
    if (!pool.claim(handle)) life.fail(Wrong::kInvented, "a handle claimed by two", payload);
    log_message(life, taker, pool.bytes(handle), is_marked);
    taker.about_to_finish(taker.end());
    life.now(Op::kFinish);
    if (!pool.give_back(handle)) life.fail(Wrong::kCorrupt, "own buffer refused", payload);
    life.now(Op::kNothing);
  }

  // All have left, and the ring is empty: every buffer is free.
  void census(const Context& context) override {
    const PoolCensus census = take_census(pool_memory(*context.stage), pool_geometry_);
    if (census.free != pool_geometry_.buffer_count) {
      context.report(Wrong::kLeaked, "buffers that are not free: owned or cached, in flight",
                     census.owned + census.cached, census.in_flight);
    }
  }

  MpmcGeometry geometry_{};
  SharedPoolGeometry pool_geometry_{};
};

}  // namespace

Scene& mpmc_scene() {
  static MpmcScene scene;
  return scene;
}
Scene& exchange_scene() {
  static ExchangeScene scene;
  return scene;
}
Scene& shared_pool_scene() {
  static SharedPoolScene scene;
  return scene;
}

}  // namespace slipring::campaign

// Broadcast rings, a scene a policy: one writer, three readers.

#include <sched.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "core/cpu/relax.h"
#include "core/ring/broadcast_ring.h"
#include "tests/crash/campaign/judge.h"
#include "tests/crash/campaign/scenes.h"

namespace slipring::campaign {
namespace {

constexpr std::uint32_t kReaders = 3;
constexpr std::uint32_t kSlotBytes = 40;
constexpr std::array<Role, 1 + kReaders> kAudienceRoles{
    Role{"writer", RoleKind::kProducer}, Role{"reader0", RoleKind::kConsumer},
    Role{"reader1", RoleKind::kConsumer}, Role{"reader2", RoleKind::kConsumer}};

struct AudienceMemory {
  alignas(4096) BroadcastWriterPage writer;
  struct alignas(4096) Reader {
    BroadcastReaderPage page;
  };
  Reader readers[kReaders];
  alignas(4096) std::byte slots[512 * 64];

  [[nodiscard]] static AudienceMemory& of(Stage& stage) {
    return *reinterpret_cast<AudienceMemory*>(stage.ring);
  }
};
static_assert(sizeof(AudienceMemory) <= kRingBytes);

class AudienceScene : public Scene {
 public:
  AudienceScene(const char* name, BroadcastPolicy policy) : name_(name), policy_(policy) {}
  [[nodiscard]] const char* name() const override { return name_; }
  [[nodiscard]] std::span<const Role> roles() const override { return kAudienceRoles; }

  void begin(const Context& context) override {
    Chance chance(context.stage->seed);
    const std::uint64_t count = std::uint64_t{4} << chance.below(7);
    geometry_ = {count,    kSlotBytes, chance.one_in(2) ? 0 : chance.next() >> 8,
                 kReaders, policy_,    policy_ == BroadcastPolicy::kEvict ? count / 2 : 0};
    std::memset(static_cast<void*>(context.stage->ring), 0, sizeof(AudienceMemory));
  }
  void open_books(const Context& context, std::uint32_t role) override {
    if (role == 0) {
      context.stage->producers[0].begin_life();
    } else {
      context.stage->consumers[role - 1].begin_life();
    }
  }
  void play(Life& life) override {
    if (life.role() == 0) {
      write(life);
    } else {
      read(life);
    }
  }
  void judge(const Context& context) override {
    const std::uint64_t tail = AudienceMemory::of(*context.stage).writer.tail.load();
    judge_audience(context, kReaders, static_cast<std::uint32_t>(tail - geometry_.start_position),
                   policy_ != BroadcastPolicy::kBlock);
  }

 private:
  void write(Life& life) {
    AudienceMemory& memory = AudienceMemory::of(life.stage());
    const std::array<const BroadcastReaderPage*, kReaders> pages{
        &memory.readers[0].page, &memory.readers[1].page, &memory.readers[2].page};
    auto end = life.must(BroadcastWriter::attach(memory.writer, memory.slots, pages, geometry_),
                         "a broadcast writer was refused: code, found");
    Sender sender(life.stage().producers[0]);
    std::array<std::byte, kSlotBytes> message;
    std::uint32_t burst = 0;
    while (life.goes_on(sender)) {
      write_message(message, {sender.next(), 0, sender.life()});
      sender.about_to_send(1);
      life.now(Op::kPush);
      const Transfer answer = end.try_push(message);
      life.now(Op::kNothing);
      if (answer == Transfer::kCorruptPeer) {
        life.fail(Wrong::kCorrupt, "a writer found a reader corrupt", end.corrupt_reader());
      }
      if (answer == Transfer::kBlocked) {
        sender.refused();
        life.idle();
        continue;
      }
      sender.sent(1);
      life.moved();
      if (policy_ != BroadcastPolicy::kBlock) pace(life, burst);
    }
  }

  // Who waits for nobody leaves readers a chance, except in bursts.
  void pace(Life& life, std::uint32_t& burst) const {
    life.now(Op::kWait);
    if (burst != 0) {
      --burst;
      return;
    }
    if (life.chance().one_in(512)) burst = static_cast<std::uint32_t>(geometry_.slot_count) * 2;
    for (std::uint32_t i = life.chance().below(32); i != 0; --i) relax();
    if (life.chance().one_in(32)) sched_yield();
  }

  void read(Life& life) {
    AudienceMemory& memory = AudienceMemory::of(life.stage());
    const std::uint32_t index = life.role() - 1;
    auto end = life.must(BroadcastReader::attach(memory.readers[index].page, memory.writer,
                                                 memory.slots, index, geometry_),
                         "a broadcast reader was refused: code, found");
    Taker taker(life.stage().consumers[index]);
    taker.life().lost_at_attach.set(static_cast<std::uint32_t>(end.lost_count()));
    // A predecessor may have joined and died before it could say so.
    if (end.is_member() && taker.life().joining.get() != 0) log_joined(taker);
    const bool in_place = life.chance().below(3) != 0;
    std::uint32_t overwritten = 0;  // peeked, and gone before it could be copied
    std::int32_t since_loss = -1;   // as LogEntry has it; -1: no loss
    bool holds = false;
    BroadcastView view;
    std::array<std::byte, kSlotBytes> message;
    for (;;) {
      if (!end.is_member()) join(life, taker, end);
      if (!life.has_room(taker)) continue;
      const BroadcastView held = view;
      if (in_place) {
        taker.about_to_take(1);
      } else {
        taker.about_to_pop(1);
        taker.about_to_take(1);
        taker.about_to_finish(taker.end() + 1);
      }
      life.now(Op::kTake);
      const Reception answer = in_place ? end.try_peek(view) : end.try_pop(message, view);
      const bool is_whole = answer != Reception::kDone || !in_place || end.copy_out(view, message);
      life.now(Op::kNothing);
      if (answer == Reception::kCorruptPeer) {
        life.fail(Wrong::kCorrupt, "a reader found its writer corrupt", taker.end());
      }
      if (answer == Reception::kEvicted) {
        holds = false;
        since_loss = 0;  // it has finished all that it held
        join(life, taker, end);
      } else if (answer == Reception::kBlocked) {
        taker.took(0);
        if (overwritten == 0) taker.about_to_pop(0);
        if (holds) finish(life, taker, end, held);
        holds = false;
        if (life.stays()) continue;
        taker.life().lost_at_exit.set(static_cast<std::uint32_t>(end.lost_count()) + overwritten);
        return;
      } else if (!is_whole) {
        if (view.lost != 0) since_loss = 0;
        if (since_loss >= 0) ++since_loss;
        overwritten += 1 + static_cast<std::uint32_t>(view.lost);
        taker.about_to_pop(overwritten);
      } else {
        if (view.lost != 0) since_loss = 0;
        if (since_loss >= 0) ++since_loss;
        view.lost += overwritten;
        overwritten = 0;
        if (life.context().plant == Plant::kMiscount) view.lost = 0;
        log(life, taker, message, view, static_cast<std::uint16_t>(std::max(since_loss, 0)),
            static_cast<std::uint32_t>(end.lost_count()));
        since_loss = -1;
        if (!in_place) {
          taker.popped();
        } else {
          taker.about_to_pop(0);
          holds = !life.chance().one_in(3);
          if (!holds) finish(life, taker, end, view);
        }
      }
    }
  }

  static void join(Life& life, Taker& taker, BroadcastReader& end) {
    const bool is_return = end.is_member();
    // What is older than the joining was never promised, and may be lost even where nobody else
    // loses anything.
    const bool from_oldest = end.policy() != BroadcastPolicy::kBlock && life.chance().one_in(2);
    const auto at = from_oldest ? BroadcastJoin::kOldest : BroadcastJoin::kNewest;
    taker.took(0);
    taker.life().joining.set(1);
    life.now(Op::kAttach);
    const Status joined = end.join(at);
    life.now(Op::kNothing);
    if (!joined) life.fail(Wrong::kCorrupt, "a reader could not join", joined.error().found);
    if (!is_return) return log_joined(taker);
    taker.life().joining.set(0);
  }

  static void log_joined(Taker& taker) {
    LogEntry entry{};
    entry.flags = kJoined;
    taker.log(entry);
    taker.popped();
    taker.life().joining.set(0);
  }

  void log(Life& life, Taker& taker, std::span<const std::byte> message, const BroadcastView& view,
           std::uint16_t since_loss, std::uint32_t lost_count) const {
    MessageName name;
    if (!read_message(message, name)) {
      life.fail(Wrong::kTorn, "not the bytes of one message: number, life", name.id, name.life);
    }
    LogEntry entry{};
    entry.id = name.id;
    entry.producer = static_cast<std::uint8_t>(name.producer);
    entry.flags = view.redelivered ? kMarked : 0;
    entry.position = static_cast<std::uint32_t>(view.position - geometry_.start_position);
    entry.lost = static_cast<std::uint32_t>(view.lost);
    entry.lost_count = lost_count;
    entry.since_loss = since_loss;
    taker.log(entry);
    life.moved();
  }

  // With all before it.
  static void finish(Life& life, Taker& taker, BroadcastReader& end, const BroadcastView& view) {
    taker.about_to_finish(taker.end());
    life.now(Op::kFinish);
    end.release(view);
    life.now(Op::kNothing);
    taker.finished(taker.end());
  }

  const char* name_;
  BroadcastPolicy policy_;
  BroadcastGeometry geometry_{};
};

}  // namespace

Scene& overwrite_scene() {
  static AudienceScene scene("broadcast-over", BroadcastPolicy::kOverwrite);
  return scene;
}
Scene& block_scene() {
  static AudienceScene scene("broadcast-block", BroadcastPolicy::kBlock);
  return scene;
}
Scene& evict_scene() {
  static AudienceScene scene("broadcast-evict", BroadcastPolicy::kEvict);
  return scene;
}

}  // namespace slipring::campaign

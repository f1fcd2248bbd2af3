// One producer, one consumer: what the scenes of these rings have in common.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>

#include "core/ring/cursor_page.h"
#include "tests/crash/campaign/judge.h"
#include "tests/crash/campaign/scene.h"

namespace slipring::campaign {

inline constexpr std::array<Role, 2> kPairRoles{Role{"producer", RoleKind::kProducer},
                                                Role{"consumer", RoleKind::kConsumer}};

// A ring's two pages, and its slots or bytes behind them.
struct PairMemory {
  alignas(4096) ProducerPage producer;
  alignas(4096) ConsumerPage consumer;
  alignas(4096) std::byte bytes[kRingBytes - 8192];

  [[nodiscard]] static PairMemory& of(Stage& stage) {
    return *reinterpret_cast<PairMemory*>(stage.ring);
  }
};
static_assert(sizeof(PairMemory) == kRingBytes);

// Where the two sides of a ring stand, for Scene::tell().
inline void tell_cursors(const ProducerPage& producer, const ConsumerPage& consumer) {
  std::fprintf(stderr, "  ring: tail %llu, abort before %llu, credit %llu, done %llu, taken %llu\n",
               static_cast<unsigned long long>(producer.tail.load()),
               static_cast<unsigned long long>(producer.abort_before.load()),
               static_cast<unsigned long long>(consumer.credit.load()),
               static_cast<unsigned long long>(consumer.done.load()),
               static_cast<unsigned long long>(consumer.taken.load()));
}

class PairScene : public Scene {
 public:
  [[nodiscard]] std::span<const Role> roles() const override { return kPairRoles; }
  void open_books(const Context& context, std::uint32_t role) override {
    if (role == 0) {
      context.stage->producers[0].begin_life();
    } else {
      context.stage->consumers[0].begin_life();
    }
  }
  void begin(const Context& context) override {
    Chance chance(context.stage->seed);
    shape(context, chance);
  }
  void play(Life& life) override {
    if (life.role() == 0) {
      produce(life);
    } else {
      consume(life);
    }
  }
  void judge(const Context& context) override { judge_lane(context, 0); }
  void tell(const Context& context) const override {
    const PairMemory& memory = PairMemory::of(*context.stage);
    tell_cursors(memory.producer, memory.consumer);
  }

 protected:
  // Makes the ring anew, of a shape that chance chooses.
  virtual void shape(const Context& context, Chance& chance) = 0;
  virtual void produce(Life& life) = 0;
  virtual void consume(Life& life) = 0;
};

// Logs a message, having looked at all of its bytes.
inline void log_message(Life& life, Taker& taker, std::span<const std::byte> bytes,
                        bool is_marked) {
  MessageName name;
  if (!read_message(bytes, name)) {
    life.fail(Wrong::kTorn, "not the bytes of one message: number, life", name.id, name.life);
  }
  LogEntry entry{};
  entry.id = name.id;
  entry.producer = static_cast<std::uint8_t>(name.producer);
  entry.flags = is_marked ? kMarked : 0;
  taker.log(entry);
  life.moved();
}

// A producer's loop: `push(bytes)` gives one message of `size` bytes to the ring.
template <typename Push>
void send_messages(Life& life, Sender& sender, std::uint32_t producer, std::uint32_t min_bytes,
                   std::uint32_t max_bytes, Push push) {
  std::array<std::byte, 512> buffer;
  while (life.goes_on(sender)) {
    const std::uint32_t size = min_bytes == max_bytes
                                   ? min_bytes
                                   : min_bytes + life.chance().below(max_bytes - min_bytes + 1);
    const std::span<std::byte> bytes(buffer.data(), size);
    write_message(bytes, {sender.next(), producer, sender.life()});
    sender.about_to_send(1);
    life.now(Op::kPush);
    const Transfer answer = push(std::span<const std::byte>(bytes));
    life.now(Op::kNothing);
    if (answer == Transfer::kDone) {
      sender.sent(1);
      life.moved();
    } else if (answer == Transfer::kBlocked) {
      sender.refused();
      life.idle();
    } else {
      life.fail(Wrong::kCorrupt, "a producer found its consumer corrupt: next", sender.next());
    }
  }
}

// A consumer's loop over a ring that shows messages in place: `peek(view)`, `release(view)`; the
// view has `message` and `redelivered`.  Holds up to `most_held`.
template <typename View, typename Peek, typename Release>
void take_messages(Life& life, Taker& taker, std::uint32_t most_held, Peek peek, Release release) {
  std::array<View, 16> views;
  for (;;) {
    const std::uint32_t wanted = 1 + life.chance().below(most_held);
    std::uint32_t count = 0;
    Transfer answer = Transfer::kDone;
    while (count < wanted && life.has_room(taker)) {
      taker.about_to_take(1);
      life.now(Op::kTake);
      answer = peek(views[count]);
      life.now(Op::kNothing);
      if (answer != Transfer::kDone) break;
      taker.took(1);
      log_message(life, taker, views[count].message, views[count].redelivered);
      ++count;
    }
    if (answer == Transfer::kCorruptPeer) {
      life.fail(Wrong::kCorrupt, "a consumer found its producer corrupt: log's end", taker.end());
    }
    if (count != 0) {
      taker.about_to_finish(taker.end());
      life.now(Op::kFinish);
      release(views[count - 1]);
      life.now(Op::kNothing);
      taker.finished(taker.end());
    } else {
      taker.took(0);
      if (!life.stays()) return;
    }
  }
}

}  // namespace slipring::campaign

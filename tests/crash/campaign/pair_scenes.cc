// The rings with one producer and one consumer: typed, slots, records, byte stream.

#include "tests/crash/campaign/pair_scenes.h"

#include <algorithm>
#include <cstring>

#include "core/ring/byte_stream.h"
#include "core/ring/record_ring.h"
#include "core/ring/slot_ring.h"
#include "core/ring/spsc_ring.h"
#include "tests/crash/campaign/scenes.h"

namespace slipring::campaign {
namespace {

// Values of 40 bytes, which lie across cache lines.
struct Value {
  std::uint64_t words[5];
};

[[nodiscard]] std::span<std::byte> bytes_of(Value& value) {
  return std::as_writable_bytes(std::span<Value, 1>(&value, 1));
}

class TypedScene : public PairScene {
 public:
  [[nodiscard]] const char* name() const override { return "typed"; }

 private:
  void shape(const Context& context, Chance& chance) override {
    constexpr std::array<std::uint64_t, 5> kCounts{1, 3, 16, 100, 1024};
    geometry_ = {kCounts[chance.below(5)], chance.one_in(2) ? 0 : chance.next() >> 8};
    PairMemory& memory = PairMemory::of(*context.stage);
    std::memset(static_cast<void*>(&memory), 0, 8192 + spsc_place_count(geometry_) * sizeof(Value));
  }

  void produce(Life& life) override {
    PairMemory& memory = PairMemory::of(life.stage());
    auto end = life.must(
        SpscProducer<Value>::attach(memory.producer, values(memory), memory.consumer, geometry_),
        "a typed producer was refused: code, found");
    Sender sender(life.stage().producers[0]);
    const bool in_batches = life.chance().one_in(2);
    std::array<Value, 8> batch;
    while (life.goes_on(sender)) {
      const std::uint32_t count = in_batches ? 1 + life.chance().below(8) : 1;
      for (std::uint32_t i = 0; i < count; ++i) {
        write_message(bytes_of(batch[i]), {sender.next() + i, 0, sender.life()});
      }
      sender.about_to_send(count);
      std::size_t pushed = 0;
      life.now(Op::kPush);
      const Transfer answer = push(end, {batch.data(), count}, in_batches, pushed);
      life.now(Op::kNothing);
      if (answer == Transfer::kCorruptPeer) {
        life.fail(Wrong::kCorrupt, "a typed producer found its consumer corrupt", sender.next());
      }
      if (answer == Transfer::kDone) sender.sent(static_cast<std::uint32_t>(pushed));
      sender.refused();
      life.moved();
      if (answer == Transfer::kBlocked) life.idle();
    }
  }

  [[nodiscard]] static Transfer push(SpscProducer<Value>& end, std::span<const Value> values,
                                     bool in_batches, std::size_t& pushed) {
    if (in_batches) return end.try_push_batch(values, pushed);
    pushed = 1;
    return end.try_push(values[0]);
  }

  void consume(Life& life) override {
    PairMemory& memory = PairMemory::of(life.stage());
    auto end = life.must(
        SpscConsumer<Value>::attach(memory.consumer, memory.producer, values(memory), geometry_),
        "a typed consumer was refused: code, found");
    Taker taker(life.stage().consumers[0]);
    // What a predecessor held is looked at in place, so that its mark can be asked for.
    if (end.redelivered_count() != 0 || life.chance().one_in(2)) {
      peek(life, taker, end);
    } else {
      pop(life, taker, end);
    }
  }

  static void pop(Life& life, Taker& taker, SpscConsumer<Value>& end) {
    std::array<Value, 8> values;
    const bool in_batches = life.chance().one_in(2);
    for (;;) {
      if (!life.has_room(taker)) continue;
      std::size_t count = 1;
      taker.about_to_pop(in_batches ? 8 : 1);
      life.now(Op::kTake);
      const Transfer answer =
          in_batches ? end.try_pop_batch(values, count) : end.try_pop(values[0]);
      life.now(Op::kNothing);
      if (answer == Transfer::kDone) {
        for (std::size_t i = 0; i < count; ++i)
          log_message(life, taker, bytes_of(values[i]), false);
        taker.popped();
        continue;
      }
      if (answer == Transfer::kCorruptPeer) {
        life.fail(Wrong::kCorrupt, "a typed consumer found its producer corrupt", taker.end());
      }
      taker.about_to_pop(0);
      if (!life.stays()) return;
    }
  }

  static void peek(Life& life, Taker& taker, SpscConsumer<Value>& end) {
    for (;;) {
      if (!life.has_room(taker)) continue;
      const std::uint64_t marked_count = end.redelivered_count();
      std::span<const Value> values;
      taker.about_to_take(kAnyNumber);
      life.now(Op::kTake);
      const Transfer answer = end.try_peek(values);
      life.now(Op::kNothing);
      if (answer == Transfer::kCorruptPeer) {
        life.fail(Wrong::kCorrupt, "a typed consumer found its producer corrupt", taker.end());
      }
      if (answer == Transfer::kBlocked) {
        taker.took(0);
        if (!life.stays()) return;
        continue;
      }
      taker.took(static_cast<std::uint32_t>(values.size()));
      // Finishes in parts, now and then.
      std::size_t done = 0;
      for (std::size_t i = 0; i < values.size(); ++i) {
        log_message(life, taker, std::as_bytes(values.subspan(i, 1)), i < marked_count);
        if (i + 1 != values.size() && !life.chance().one_in(8)) continue;
        taker.about_to_finish(taker.end());
        life.now(Op::kFinish);
        end.release(i + 1 - done);
        life.now(Op::kNothing);
        taker.finished(taker.end());
        done = i + 1;
      }
    }
  }

  [[nodiscard]] static Value* values(PairMemory& memory) {
    return reinterpret_cast<Value*>(memory.bytes);
  }

  SpscGeometry geometry_{};
};

class SlotScene : public PairScene {
 public:
  [[nodiscard]] const char* name() const override { return "slots"; }

 private:
  void shape(const Context& context, Chance& chance) override {
    constexpr std::array<std::uint32_t, 4> kSizes{8, 24, 56, 200};
    geometry_ = {std::uint64_t{2} << chance.below(8), kSizes[chance.below(4)],
                 chance.one_in(2) ? 0 : chance.next() >> 8};
    if (context.plant != Plant::kNone) geometry_ = {64, 200, 0};
    PairMemory& memory = PairMemory::of(*context.stage);
    std::memset(static_cast<void*>(&memory), 0, 8192 + slot_slots_bytes(geometry_));
  }

  void produce(Life& life) override {
    PairMemory& memory = PairMemory::of(life.stage());
    auto end =
        life.must(SlotProducer::attach(memory.producer, memory.bytes, memory.consumer, geometry_),
                  "a slot producer was refused: code, found");
    Sender sender(life.stage().producers[0]);
    const Plant plant = life.context().plant;
    const std::uint32_t size = geometry_.slot_bytes;
    send_messages(life, sender, 0, size, size, [&](std::span<const std::byte> message) {
      if (plant == Plant::kTorn) return push_torn(end, message);
      if (plant == Plant::kOrder) return push_swapped(life, end, sender);
      return end.try_push(message);
    });
  }

  // Publishes before all is written.
  [[nodiscard]] static Transfer push_torn(SlotProducer& end, std::span<const std::byte> message) {
    std::span<std::byte> slot;
    if (const Transfer answer = end.try_reserve(slot); answer != Transfer::kDone) return answer;
    std::memcpy(slot.data(), message.data(), 16);
    end.commit();
    std::memcpy(slot.data() + 16, message.data() + 16, message.size() - 16);
    return Transfer::kDone;
  }

  // Sends each hundredth message as the one that follows it, and then the one before.
  [[nodiscard]] Transfer push_swapped(Life& life, SlotProducer& end, Sender& sender) const {
    const std::uint32_t id = sender.next();
    std::uint32_t sent_id = id;
    if (id % 100 == 50) sent_id = id + 1;
    if (id % 100 == 51) sent_id = id - 1;
    std::array<std::byte, 256> bytes;
    const std::span<std::byte> message(bytes.data(), geometry_.slot_bytes);
    write_message(message, {sent_id, 0, sender.life()});
    (void)life;
    return end.try_push(message);
  }

  void consume(Life& life) override {
    PairMemory& memory = PairMemory::of(life.stage());
    auto end =
        life.must(SlotConsumer::attach(memory.consumer, memory.producer, memory.bytes, geometry_),
                  "a slot consumer was refused: code, found");
    Taker taker(life.stage().consumers[0]);
    const Plant plant = life.context().plant;
    const auto most = static_cast<std::uint32_t>(std::min<std::uint64_t>(geometry_.slot_count, 16));
    std::array<std::byte, 256> copy;
    take_messages<SlotView>(
        life, taker, plant == Plant::kLost ? 1 : most,
        [&](SlotView& view) {
          const Transfer answer = end.try_peek(view);
          if (answer == Transfer::kDone && plant == Plant::kLost) {
            std::memcpy(copy.data(), view.message.data(), view.message.size());
            end.release(view);
            view.message = {copy.data(), view.message.size()};
          }
          if (plant == Plant::kRepeat) {  // as if it had not said so
            memory.consumer.taken.store(memory.consumer.done.load());
          }
          return answer;
        },
        [&](const SlotView& view) {
          if (plant != Plant::kLost && plant != Plant::kHang) end.release(view);
        });
  }

  SlotGeometry geometry_{};
};

class RecordScene : public PairScene {
 public:
  [[nodiscard]] const char* name() const override { return "records"; }

 private:
  void shape(const Context& context, Chance& chance) override {
    geometry_ = {std::uint64_t{256} << chance.below(7),
                 chance.one_in(2) ? 0 : chance.next() >> 8 & ~std::uint64_t{7}};
    PairMemory& memory = PairMemory::of(*context.stage);
    std::memset(static_cast<void*>(&memory), 0, 8192 + geometry_.capacity_bytes);
  }

  void produce(Life& life) override {
    PairMemory& memory = PairMemory::of(life.stage());
    auto end =
        life.must(RecordProducer::attach(memory.producer, memory.bytes, memory.consumer, geometry_),
                  "a record producer was refused: code, found");
    Sender sender(life.stage().producers[0]);
    const bool in_place = life.chance().one_in(2);
    const bool in_batches = !in_place && life.chance().one_in(2);
    if (in_batches) return produce_batches(life, end, sender);
    send_messages(life, sender, 0, 8, 100, [&](std::span<const std::byte> message) {
      if (!in_place) return end.try_push(message);
      std::span<std::byte> place;
      const std::size_t spare = 100 - message.size();
      const Transfer answer = end.try_reserve(message.size() + spare / 2, place);
      if (answer != Transfer::kDone) return answer;
      std::memcpy(place.data(), message.data(), message.size());
      end.commit(message.size());
      return answer;
    });
  }

  static void produce_batches(Life& life, RecordProducer& end, Sender& sender) {
    std::array<std::array<std::byte, 64>, 8> bytes;
    std::array<std::span<const std::byte>, 8> batch;
    while (life.goes_on(sender)) {
      const std::uint32_t count = 1 + life.chance().below(8);
      for (std::uint32_t i = 0; i < count; ++i) {
        const std::span<std::byte> message(bytes[i].data(), 8 + life.chance().below(57));
        write_message(message, {sender.next() + i, 0, sender.life()});
        batch[i] = message;
      }
      sender.about_to_send(count);
      std::size_t pushed = 0;
      life.now(Op::kPush);
      const Transfer answer = end.try_push_many({batch.data(), count}, pushed);
      life.now(Op::kNothing);
      if (answer == Transfer::kCorruptPeer) {
        life.fail(Wrong::kCorrupt, "a record producer found its consumer corrupt", sender.next());
      }
      sender.sent(static_cast<std::uint32_t>(pushed));
      sender.refused();
      life.moved();
      if (pushed == 0) life.idle();
    }
  }

  void consume(Life& life) override {
    PairMemory& memory = PairMemory::of(life.stage());
    if (life.context().plant == Plant::kUnmarked) {
      memory.consumer.taken.store(memory.consumer.done.load());
    }
    auto end =
        life.must(RecordConsumer::attach(memory.consumer, memory.producer, memory.bytes, geometry_),
                  "a record consumer was refused: code, found");
    Taker taker(life.stage().consumers[0]);
    take_messages<RecordView>(
        life, taker, 16,
        [&](RecordView& view) {
          const Transfer answer = end.try_peek(view);
          if (life.context().plant == Plant::kFalseMark) view.redelivered = true;
          return answer;
        },
        [&](const RecordView& view) { end.release(view); });
  }

  RecordGeometry geometry_{};
};

// Frames in a byte stream, each published whole; several are looked at and finished at once.
class StreamScene : public PairScene {
 public:
  [[nodiscard]] const char* name() const override { return "stream"; }

 private:
  static constexpr std::uint32_t kHeaderBytes = 4;  // of a frame: how long it is, without itself
  static constexpr std::uint32_t kMaxFrameBytes = 64;

  void shape(const Context& context, Chance& chance) override {
    geometry_ = {std::uint64_t{128} << chance.below(7), chance.one_in(2) ? 0 : chance.next() >> 8};
    PairMemory& memory = PairMemory::of(*context.stage);
    std::memset(static_cast<void*>(&memory), 0, 8192 + geometry_.capacity_bytes);
  }

  void produce(Life& life) override {
    PairMemory& memory = PairMemory::of(life.stage());
    auto end =
        life.must(StreamProducer::attach(memory.producer, memory.bytes, memory.consumer, geometry_),
                  "a stream producer was refused: code, found");
    Sender sender(life.stage().producers[0]);
    const bool in_place = life.chance().one_in(2);
    send_messages(life, sender, 0, 8, kMaxFrameBytes - kHeaderBytes,
                  [&](std::span<const std::byte> message) { return push(end, message, in_place); });
  }

  [[nodiscard]] static Transfer push(StreamProducer& end, std::span<const std::byte> message,
                                     bool in_place) {
    std::array<std::byte, 128> frame;
    const auto size = static_cast<std::uint32_t>(message.size());
    const std::size_t whole = kHeaderBytes + message.size();
    std::memcpy(frame.data(), &size, kHeaderBytes);
    std::memcpy(frame.data() + kHeaderBytes, message.data(), message.size());
    StreamParts<std::byte> room;
    const Transfer answer = end.try_reserve(room, whole);
    if (answer != Transfer::kDone) return answer;
    if (room.size() < whole) return Transfer::kBlocked;  // only whole frames, only at once
    if (!in_place) {
      std::size_t written = 0;
      return end.try_write({frame.data(), whole}, written);
    }
    const std::size_t first = std::min(whole, room.first.size());
    std::memcpy(room.first.data(), frame.data(), first);
    if (first != whole) std::memcpy(room.second.data(), frame.data() + first, whole - first);
    end.commit(whole);
    return Transfer::kDone;
  }

  void consume(Life& life) override {
    PairMemory& memory = PairMemory::of(life.stage());
    auto end =
        life.must(StreamConsumer::attach(memory.consumer, memory.producer, memory.bytes, geometry_),
                  "a stream consumer was refused: code, found");
    Taker taker(life.stage().consumers[0]);
    for (;;) {
      if (!life.has_room(taker)) continue;
      StreamView view;
      taker.about_to_take(kAnyNumber);
      life.now(Op::kTake);
      const Transfer answer = end.try_peek(view);
      life.now(Op::kNothing);
      if (answer == Transfer::kCorruptPeer) {
        life.fail(Wrong::kCorrupt, "a stream consumer found its producer corrupt", taker.end());
      }
      if (answer == Transfer::kBlocked) {
        taker.took(0);
        if (!life.stays()) return;
        continue;
      }
      take_frames(life, taker, end, view);
    }
  }

  static void take_frames(Life& life, Taker& taker, StreamConsumer& end, const StreamView& view) {
    const std::size_t size = view.bytes.size();
    std::size_t at = 0;
    std::size_t done = 0;
    while (at < size) {
      std::uint32_t length = 0;
      std::array<std::byte, kMaxFrameBytes> frame;
      if (size - at < kHeaderBytes) life.fail(Wrong::kTorn, "half a frame: bytes", size - at);
      copy(view, at, std::as_writable_bytes(std::span<std::uint32_t, 1>(&length, 1)));
      if (length > kMaxFrameBytes || size - at - kHeaderBytes < length) {
        life.fail(Wrong::kTorn, "no frame begins here: length, bytes", length, size - at);
      }
      copy(view, at + kHeaderBytes, {frame.data(), length});
      log_message(life, taker, {frame.data(), length}, at < view.redelivered_bytes);
      at += kHeaderBytes + length;
      if (at != size && !life.chance().one_in(8)) continue;
      taker.about_to_finish(taker.end());
      life.now(Op::kFinish);
      end.consume(at - done);
      life.now(Op::kNothing);
      taker.finished(taker.end());
      done = at;
    }
  }

  static void copy(const StreamView& view, std::size_t at, std::span<std::byte> to) {
    for (std::size_t i = 0; i < to.size(); ++i) {
      const std::size_t from = at + i;
      to[i] = from < view.bytes.first.size() ? view.bytes.first[from]
                                             : view.bytes.second[from - view.bytes.first.size()];
    }
  }

  StreamGeometry geometry_{};
};

}  // namespace

Scene& typed_scene() {
  static TypedScene scene;
  return scene;
}
Scene& slot_scene() {
  static SlotScene scene;
  return scene;
}
Scene& record_scene() {
  static RecordScene scene;
  return scene;
}
Scene& stream_scene() {
  static StreamScene scene;
  return scene;
}

}  // namespace slipring::campaign

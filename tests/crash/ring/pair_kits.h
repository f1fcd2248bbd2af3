// The rings with one producer and one consumer, each as what the experiments need of it.
//
// A kit numbers its messages; a message of the byte stream is one byte.  push() and pop() are what
// is stepped: they do nothing but the operation, and say what came of it at once.  take() is what
// judges drain with.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/cpu/cache_line.h"
#include "core/ring/byte_stream.h"
#include "core/ring/cursor_page.h"
#include "core/ring/record_ring.h"
#include "core/ring/slot_ring.h"
#include "core/ring/spsc_ring.h"
#include "tests/crash/ring/message.h"

namespace slipring::crash {

enum class ProducerWay { kPush, kBatch, kReserve, kAbandon, kAbort, kAttach };
enum class ConsumerWay { kPop, kBatch, kPeek, kRelease, kSkip, kCredit, kAttach };

[[nodiscard]] constexpr const char* name_of(ProducerWay way) {
  constexpr std::array kNames{"push",    "push batch", "reserve, commit",
                              "abandon", "abort",      "attach (producer)"};
  return kNames[static_cast<std::size_t>(way)];
}
[[nodiscard]] constexpr const char* name_of(ConsumerWay way) {
  constexpr std::array kNames{"pop",          "pop batch",      "peek, release",    "release",
                              "skip aborted", "publish credit", "attach (consumer)"};
  return kNames[static_cast<std::size_t>(way)];
}

// As many messages are moved at once at most.
inline constexpr std::size_t kMostMessages = 8;
// The longest message of any kit.
inline constexpr std::size_t kMessageBytes = 40;

// Messages outside the ring: the producer's own, or what the consumer made of them.
struct Box {
  alignas(8) std::byte bytes[kMostMessages][kMessageBytes];
  std::uint64_t sizes[kMostMessages];  // where the kit's messages differ in size
};

// What the stepped one has been told, which its death does not undo.
struct Told {
  Transfer answer = Transfer::kCorruptPeer;
  std::atomic<std::uint64_t> count{0};     // producer: acknowledged; consumer: handed out
  std::atomic<std::uint64_t> finished{0};  // consumer: finished

  Told() = default;
  Told(const Told& other) { *this = other; }
  Told& operator=(const Told& other) {
    answer = other.answer;
    hand_out(other.count.load(std::memory_order_relaxed));
    finish(other.finished.load(std::memory_order_relaxed));
    return *this;
  }
  void hand_out(std::uint64_t handed) { count.store(handed, std::memory_order_release); }
  void finish(std::uint64_t done) { finished.store(done, std::memory_order_release); }
};

struct TypedValue {
  std::array<std::uint64_t, 5> words;
};
static_assert(sizeof(TypedValue) == kMessageBytes);

struct TypedKit {
  static constexpr const char* kName = "typed";
  static constexpr std::uint64_t kSlots = 4;
  static constexpr std::uint64_t kOnce = 1;   // messages of a push or a pop
  static constexpr std::uint64_t kBatch = 3;  // of a batch
  struct Memory {
    ProducerPage producer;
    ConsumerPage consumer;
    alignas(kAbiLineBytes) TypedValue slots[kSlots];
  };
  using Producer = SpscProducer<TypedValue>;
  using Consumer = SpscConsumer<TypedValue>;
  [[nodiscard]] static constexpr bool has(ProducerWay) { return true; }
  [[nodiscard]] static constexpr bool has(ConsumerWay) { return true; }
  [[nodiscard]] static std::size_t size_of(std::uint64_t) { return sizeof(TypedValue); }
  [[nodiscard]] static Result<Producer> producer(Memory& memory, std::uint64_t start) {
    return Producer::attach(memory.producer, memory.slots, memory.consumer, {kSlots, start});
  }
  [[nodiscard]] static Result<Consumer> consumer(Memory& memory, std::uint64_t start) {
    return Consumer::attach(memory.consumer, memory.producer, memory.slots, {kSlots, start});
  }
  static void load(Box& box, std::size_t at, std::uint64_t number) {
    write_message(box.bytes[at], number);
  }
  [[nodiscard]] static std::span<const std::byte> message(const Box& box, std::size_t at) {
    return box.bytes[at];
  }
  [[nodiscard]] static const TypedValue* values(const Box& box) {
    return reinterpret_cast<const TypedValue*>(box.bytes);
  }
  [[nodiscard]] static TypedValue* values(Box& box) {
    return reinterpret_cast<TypedValue*>(box.bytes);
  }

  static void push(Producer& producer, ProducerWay way, const Box& box, std::uint64_t count,
                   Told& told) {
    if (way == ProducerWay::kPush) {
      told.answer = producer.try_push(values(box)[0]);
      if (told.answer == Transfer::kDone) told.hand_out(1);
    } else if (way == ProducerWay::kBatch) {
      std::size_t pushed = 0;
      told.answer = producer.try_push_batch({values(box), count}, pushed);
      told.hand_out(pushed);
    } else if (way == ProducerWay::kReserve || way == ProducerWay::kAbandon) {
      std::span<TypedValue> room;
      told.answer = producer.try_reserve(room);
      if (told.answer != Transfer::kDone) return;
      room[0] = values(box)[0];
      if (way == ProducerWay::kAbandon) return;
      producer.commit(1);
      told.hand_out(1);
    } else if (way == ProducerWay::kAbort) {
      producer.abort_published();
      told.answer = Transfer::kDone;
    }
  }
  static void pop(Consumer& consumer, ConsumerWay way, Box& box, std::uint64_t count, Told& told) {
    if (way == ConsumerWay::kPop) {
      told.answer = consumer.try_pop(values(box)[0]);
      if (told.answer == Transfer::kDone) told.finish(1);
    } else if (way == ConsumerWay::kBatch) {
      std::size_t popped = 0;
      told.answer = consumer.try_pop_batch({values(box), count}, popped);
      told.finish(popped);
    } else if (way == ConsumerWay::kPeek) {
      std::span<const TypedValue> there;
      told.answer = consumer.try_peek(there);
      if (told.answer != Transfer::kDone) return;
      for (std::size_t i = 0; i < there.size(); ++i) values(box)[i] = there[i];
      told.hand_out(there.size());
      consumer.release(there.size());
      told.finish(there.size());
    } else if (way == ConsumerWay::kSkip) {
      told.answer = consumer.skip_aborted() != 0 ? Transfer::kDone : Transfer::kBlocked;
    } else if (way == ConsumerWay::kCredit) {
      consumer.publish_credit();
      told.answer = Transfer::kDone;
    }
  }
  // Looks at what is there, and holds it.
  struct Held {
    std::uint64_t count;
  };
  static std::uint64_t hold(Consumer& consumer, Held& held, Box& box) {
    std::span<const TypedValue> there;
    held.count = 0;
    while (consumer.try_peek(there) == Transfer::kDone) {
      for (const TypedValue& value : there) values(box)[held.count++] = value;
    }
    return held.count;
  }
  static void release(Consumer& consumer, const Held& held, Told& told) {
    consumer.release(held.count);
    told.finish(held.count);
  }
  template <typename Sink>
  static Transfer take(Consumer& consumer, Sink sink) {
    const bool is_marked = consumer.redelivered_count() != 0;
    TypedValue value;
    const Transfer answer = consumer.try_pop(value);
    if (answer == Transfer::kDone) sink(std::as_bytes(std::span(&value, 1)), is_marked);
    return answer;
  }
};

struct SlotKit {
  static constexpr const char* kName = "slots";
  static constexpr std::uint64_t kSlots = 4;
  static constexpr std::uint64_t kOnce = 1;
  static constexpr std::uint64_t kBatch = 1;
  struct Memory {
    ProducerPage producer;
    ConsumerPage consumer;
    alignas(kAbiLineBytes) std::byte slots[kSlots * slot_stride_bytes(kMessageBytes)];
  };
  using Producer = SlotProducer;
  using Consumer = SlotConsumer;
  [[nodiscard]] static constexpr bool has(ProducerWay way) { return way != ProducerWay::kBatch; }
  [[nodiscard]] static constexpr bool has(ConsumerWay way) { return way != ConsumerWay::kBatch; }
  [[nodiscard]] static std::size_t size_of(std::uint64_t) { return kMessageBytes; }
  [[nodiscard]] static Result<Producer> producer(Memory& memory, std::uint64_t start) {
    return Producer::attach(memory.producer, memory.slots, memory.consumer,
                            {kSlots, kMessageBytes, start});
  }
  [[nodiscard]] static Result<Consumer> consumer(Memory& memory, std::uint64_t start) {
    return Consumer::attach(memory.consumer, memory.producer, memory.slots,
                            {kSlots, kMessageBytes, start});
  }
  static void load(Box& box, std::size_t at, std::uint64_t number) {
    write_message(box.bytes[at], number);
  }
  [[nodiscard]] static std::span<const std::byte> message(const Box& box, std::size_t at) {
    return box.bytes[at];
  }

  static void push(Producer& producer, ProducerWay way, const Box& box, std::uint64_t, Told& told) {
    if (way == ProducerWay::kPush) {
      told.answer = producer.try_push(box.bytes[0]);
      if (told.answer == Transfer::kDone) told.hand_out(1);
    } else if (way == ProducerWay::kReserve || way == ProducerWay::kAbandon) {
      std::span<std::byte> slot;
      told.answer = producer.try_reserve(slot);
      if (told.answer != Transfer::kDone) return;
      copy_message(slot.data(), box.bytes[0], kMessageBytes);
      if (way == ProducerWay::kAbandon) return;
      producer.commit();
      told.hand_out(1);
    } else if (way == ProducerWay::kAbort) {
      producer.abort_published();
      told.answer = Transfer::kDone;
    }
  }
  static void pop(Consumer& consumer, ConsumerWay way, Box& box, std::uint64_t, Told& told) {
    if (way == ConsumerWay::kPop) {
      told.answer = consumer.try_pop(box.bytes[0]);
      if (told.answer == Transfer::kDone) told.finish(1);
    } else if (way == ConsumerWay::kPeek) {
      SlotView view;
      told.answer = consumer.try_peek(view);
      if (told.answer != Transfer::kDone) return;
      copy_message(box.bytes[0], view.message.data(), kMessageBytes);
      told.hand_out(1);
      consumer.release(view);
      told.finish(1);
    } else if (way == ConsumerWay::kSkip) {
      told.answer = consumer.skip_aborted() != 0 ? Transfer::kDone : Transfer::kBlocked;
    } else if (way == ConsumerWay::kCredit) {
      consumer.publish_credit();
      told.answer = Transfer::kDone;
    }
  }
  struct Held {
    std::uint64_t count;
    SlotView last;
  };
  static std::uint64_t hold(Consumer& consumer, Held& held, Box& box) {
    held.count = 0;
    while (consumer.try_peek(held.last) == Transfer::kDone) {
      copy_message(box.bytes[held.count++], held.last.message.data(), kMessageBytes);
    }
    return held.count;
  }
  static void release(Consumer& consumer, const Held& held, Told& told) {
    consumer.release(held.last);
    told.finish(held.count);
  }
  template <typename Sink>
  static Transfer take(Consumer& consumer, Sink sink) {
    SlotView view;
    const Transfer answer = consumer.try_peek(view);
    if (answer != Transfer::kDone) return answer;
    sink(view.message, view.redelivered);
    consumer.release(view);
    return answer;
  }
};

}  // namespace slipring::crash

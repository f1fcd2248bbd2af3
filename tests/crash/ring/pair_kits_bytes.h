// Kits, as in pair_kits.h, of the rings that are cut in bytes: records and the stream.
#pragma once

#include "tests/crash/ring/pair_kits.h"

namespace slipring::crash {

struct RecordKit {
  static constexpr const char* kName = "records";
  static constexpr std::uint64_t kBytes = 128;
  static constexpr std::uint64_t kOnce = 1;
  static constexpr std::uint64_t kBatch = 3;
  struct Memory {
    ProducerPage producer;
    ConsumerPage consumer;
    alignas(kAbiLineBytes) std::byte bytes[kBytes];
  };
  using Producer = RecordProducer;
  using Consumer = RecordConsumer;
  [[nodiscard]] static constexpr bool has(ProducerWay) { return true; }
  [[nodiscard]] static constexpr bool has(ConsumerWay) { return true; }
  [[nodiscard]] static std::size_t size_of(std::uint64_t number) { return 5 + number % 3 * 13; }
  [[nodiscard]] static Result<Producer> producer(Memory& memory, std::uint64_t start) {
    return Producer::attach(memory.producer, memory.bytes, memory.consumer, {kBytes, start * 8});
  }
  [[nodiscard]] static Result<Consumer> consumer(Memory& memory, std::uint64_t start) {
    return Consumer::attach(memory.consumer, memory.producer, memory.bytes, {kBytes, start * 8});
  }
  static void load(Box& box, std::size_t at, std::uint64_t number) {
    box.sizes[at] = size_of(number);
    write_message(std::span(box.bytes[at]).first(size_of(number)), number);
  }
  [[nodiscard]] static std::span<const std::byte> message(const Box& box, std::size_t at) {
    return std::span(box.bytes[at]).first(box.sizes[at] < kMessageBytes ? box.sizes[at] : 0);
  }

  static void push(Producer& producer, ProducerWay way, const Box& box, std::uint64_t count,
                   Told& told) {
    if (way == ProducerWay::kPush) {
      told.answer = producer.try_push(message(box, 0));
      if (told.answer == Transfer::kDone) told.hand_out(1);
    } else if (way == ProducerWay::kBatch) {
      std::array<std::span<const std::byte>, kMostMessages> messages;
      for (std::size_t i = 0; i < count; ++i) messages[i] = message(box, i);
      std::size_t pushed = 0;
      told.answer = producer.try_push_many({messages.data(), count}, pushed);
      told.hand_out(pushed);
    } else if (way == ProducerWay::kReserve || way == ProducerWay::kAbandon) {
      const std::span<const std::byte> whole = message(box, 0);
      std::span<std::byte> payload;
      told.answer = producer.try_reserve(whole.size() + 1, payload);
      if (told.answer != Transfer::kDone) return;
      copy_message(payload.data(), whole.data(), whole.size());
      if (way == ProducerWay::kAbandon) return producer.abandon();
      producer.commit(whole.size());
      told.hand_out(1);
    } else if (way == ProducerWay::kAbort) {
      producer.abort_published();
      told.answer = Transfer::kDone;
    }
  }
  static void keep(Box& box, std::size_t at, std::span<const std::byte> message) {
    box.sizes[at] = message.size();
    if (message.size() <= kMessageBytes) {
      copy_message(box.bytes[at], message.data(), message.size());
    }
  }
  static void pop(Consumer& consumer, ConsumerWay way, Box& box, std::uint64_t count, Told& told) {
    if (way == ConsumerWay::kPop) {
      told.answer = consumer.try_pop(box.bytes[0], box.sizes[0]);
      if (told.answer == Transfer::kDone) told.finish(1);
    } else if (way == ConsumerWay::kPeek) {
      RecordView view;
      told.answer = consumer.try_peek(view);
      if (told.answer != Transfer::kDone) return;
      keep(box, 0, view.message);
      told.hand_out(1);
      consumer.release(view);
      told.finish(1);
    } else if (way == ConsumerWay::kBatch) {
      std::array<RecordView, kMostMessages> views;
      std::size_t there = 0;
      told.answer = consumer.try_peek_many({views.data(), count}, there);
      if (told.answer != Transfer::kDone) return;
      for (std::size_t i = 0; i < there; ++i) keep(box, i, views[i].message);
      told.hand_out(there);
      consumer.release(views[there - 1]);
      told.finish(there);
    } else if (way == ConsumerWay::kSkip) {
      told.answer = consumer.skip_aborted() != 0 ? Transfer::kDone : Transfer::kBlocked;
    } else if (way == ConsumerWay::kCredit) {
      consumer.publish_credit();
      told.answer = Transfer::kDone;
    }
  }
  struct Held {
    std::uint64_t count;
    RecordView last;
  };
  static std::uint64_t hold(Consumer& consumer, Held& held, Box& box) {
    held.count = 0;
    while (consumer.try_peek(held.last) == Transfer::kDone) {
      keep(box, held.count++, held.last.message);
    }
    return held.count;
  }
  static void release(Consumer& consumer, const Held& held, Told& told) {
    consumer.release(held.last);
    told.finish(held.count);
  }
  template <typename Sink>
  static Transfer take(Consumer& consumer, Sink sink) {
    RecordView view;
    const Transfer answer = consumer.try_peek(view);
    if (answer != Transfer::kDone) return answer;
    sink(view.message, view.redelivered);
    consumer.release(view);
    return answer;
  }
};

struct StreamKit {
  static constexpr const char* kName = "stream";
  static constexpr std::uint64_t kBytes = 8;
  static constexpr std::uint64_t kOnce = 3;
  static constexpr std::uint64_t kBatch = 6;
  struct Memory {
    ProducerPage producer;
    ConsumerPage consumer;
    alignas(kAbiLineBytes) std::byte bytes[kBytes];
  };
  using Producer = StreamProducer;
  using Consumer = StreamConsumer;
  [[nodiscard]] static constexpr bool has(ProducerWay) { return true; }
  [[nodiscard]] static constexpr bool has(ConsumerWay) { return true; }
  [[nodiscard]] static std::size_t size_of(std::uint64_t) { return 1; }
  [[nodiscard]] static Result<Producer> producer(Memory& memory, std::uint64_t start) {
    return Producer::attach(memory.producer, memory.bytes, memory.consumer, {kBytes, start});
  }
  [[nodiscard]] static Result<Consumer> consumer(Memory& memory, std::uint64_t start) {
    return Consumer::attach(memory.consumer, memory.producer, memory.bytes, {kBytes, start});
  }
  // In the box the bytes lie together.
  static void load(Box& box, std::size_t at, std::uint64_t number) {
    write_message(std::span(box.bytes[0]).subspan(at, 1), number);
  }
  [[nodiscard]] static std::span<const std::byte> message(const Box& box, std::size_t at) {
    return std::span(box.bytes[0]).subspan(at, 1);
  }

  static void push(Producer& producer, ProducerWay way, const Box& box, std::uint64_t count,
                   Told& told) {
    const std::byte* bytes = box.bytes[0];
    if (way == ProducerWay::kPush || way == ProducerWay::kBatch) {
      std::size_t written = 0;
      told.answer = producer.try_write({bytes, count}, written);
      told.hand_out(written);
    } else if (way == ProducerWay::kReserve || way == ProducerWay::kAbandon) {
      StreamParts<std::byte> room;
      told.answer = producer.try_reserve(room);
      if (told.answer != Transfer::kDone) return;
      room.first[0] = bytes[0];
      if (way == ProducerWay::kAbandon) return;
      producer.commit(1);
      told.hand_out(1);
    } else if (way == ProducerWay::kAbort) {
      producer.abort_published();
      told.answer = Transfer::kDone;
    }
  }
  static void pop(Consumer& consumer, ConsumerWay way, Box& box, std::uint64_t count, Told& told) {
    std::size_t done = 0;
    if (way == ConsumerWay::kPop || way == ConsumerWay::kBatch) {
      told.answer = consumer.try_read({box.bytes[0], count}, done);
      told.finish(done);
    } else if (way == ConsumerWay::kPeek) {
      StreamView view;
      told.answer = consumer.try_peek(view);
      if (told.answer != Transfer::kDone) return;
      box.bytes[0][0] = view.bytes.first[0];
      told.hand_out(1);
      consumer.consume(1);
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
  };
  static std::uint64_t hold(Consumer& consumer, Held& held, Box& box) {
    StreamView view;
    held.count = 0;
    if (consumer.try_peek(view) != Transfer::kDone) return 0;
    for (const std::byte byte : view.bytes.first) box.bytes[0][held.count++] = byte;
    for (const std::byte byte : view.bytes.second) box.bytes[0][held.count++] = byte;
    return held.count;
  }
  static void release(Consumer& consumer, const Held& held, Told& told) {
    consumer.consume(held.count);
    told.finish(held.count);
  }
  template <typename Sink>
  static Transfer take(Consumer& consumer, Sink sink) {
    StreamView view;
    const Transfer answer = consumer.try_peek(view);
    if (answer != Transfer::kDone) return answer;
    std::uint64_t at = 0;
    const auto give = [&](std::span<const std::byte> part) {
      for (const std::byte& byte : part) sink(std::span(&byte, 1), at++ < view.redelivered_bytes);
    };
    give(view.bytes.first);
    give(view.bytes.second);
    consumer.consume(at);
    return answer;
  }
};

}  // namespace slipring::crash

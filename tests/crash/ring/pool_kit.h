// A kit, as in pair_kits.h, of the buffer pool with one owner and one reader: a message is what
// stands in a buffer, and a typed ring carries the handles.
#pragma once

#include <cstring>

#include "core/pool/buffer_pool.h"
#include "tests/crash/ring/pair_kits.h"

namespace slipring::crash {

template <bool forgets_unsent = false>
struct PoolKit {
  static constexpr const char* kName = "buffer pool";
  static constexpr std::uint64_t kSlots = 4;
  static constexpr bool kIsLong = true;
  static constexpr std::uint64_t kOnce = 1;
  static constexpr std::uint64_t kBatch = 1;
  static constexpr PoolGeometry kPool{6, 0, 64};
  struct Memory {
    ProducerPage producer;
    ConsumerPage consumer;
    BufferHandle slots[kSlots];
    PoolWord lent[kPool.buffer_count];
    PoolWord returned[kPool.buffer_count];
    alignas(kAbiLineBytes) std::byte buffers[kPool.buffer_count * kPool.buffer_bytes];
  };
  struct Producer {
    SpscProducer<BufferHandle> ring;
    PoolOwner pool;
  };
  struct Consumer {
    SpscConsumer<BufferHandle> ring;
    PoolReader pool;
  };
  [[nodiscard]] static constexpr bool has(ProducerWay way) {
    return way == ProducerWay::kPush || way == ProducerWay::kAbandon || way == ProducerWay::kAttach;
  }
  [[nodiscard]] static constexpr bool has(ConsumerWay way) {
    return way == ConsumerWay::kPeek || way == ConsumerWay::kRelease ||
           way == ConsumerWay::kCredit || way == ConsumerWay::kAttach;
  }
  [[nodiscard]] static std::size_t size_of(std::uint64_t) { return kMessageBytes; }
  // What its predecessor had lent and not sent comes back.
  [[nodiscard]] static Result<Producer> producer(Memory& memory, std::uint64_t start) {
    auto ring = SpscProducer<BufferHandle>::attach(memory.producer, memory.slots, memory.consumer,
                                                   {kSlots, start});
    if (!ring) return ring.error();
    auto pool = PoolOwner::attach(memory.lent, memory.returned, memory.buffers, kPool);
    if (!pool) return pool.error();
    std::array<BufferHandle, kSlots> in_flight;
    std::size_t count = 0;
    std::uint64_t at = memory.consumer.done.load(std::memory_order_acquire);
    if (at < start) at = start;
    for (; at < ring.value().position() && count < kSlots; ++at) {
      in_flight[count++] = memory.slots[at % kSlots];
    }
    if (!forgets_unsent) pool.value().recover({in_flight.data(), count});
    return Producer{ring.value(), pool.value()};
  }
  [[nodiscard]] static Result<Consumer> consumer(Memory& memory, std::uint64_t start) {
    auto ring = SpscConsumer<BufferHandle>::attach(memory.consumer, memory.producer, memory.slots,
                                                   {kSlots, start});
    if (!ring) return ring.error();
    auto pool = PoolReader::attach(memory.returned, memory.lent, memory.buffers, kPool);
    if (!pool) return pool.error();
    return Consumer{ring.value(), pool.value()};
  }
  static void load(Box& box, std::size_t at, std::uint64_t number) {
    write_message(box.bytes[at], number);
  }
  [[nodiscard]] static std::span<const std::byte> message(const Box& box, std::size_t at) {
    return box.bytes[at];
  }

  static void push(Producer& producer, ProducerWay way, const Box& box, std::uint64_t, Told& told) {
    std::uint32_t slot = 0;
    told.answer = producer.ring.has_space() ? producer.pool.try_acquire(slot) : Transfer::kBlocked;
    if (told.answer != Transfer::kDone) return;
    copy_message(producer.pool.bytes(slot).data(), box.bytes[0], kMessageBytes);
    if (way != ProducerWay::kAbandon) {
      told.answer = producer.ring.try_push(producer.pool.lend(slot));
      if (told.answer == Transfer::kDone) told.hand_out(1);
    }
    producer.pool.drop(slot);
  }
  static void pop(Consumer& consumer, ConsumerWay way, Box& box, std::uint64_t, Told& told) {
    if (way == ConsumerWay::kCredit) {
      consumer.ring.publish_credit();
      told.answer = Transfer::kDone;
      return;
    }
    std::span<const BufferHandle> there;
    told.answer = consumer.ring.try_peek(there);
    if (told.answer != Transfer::kDone) return;
    const std::uint64_t count = there.size();
    for (std::size_t i = 0; i < count; ++i) {
      copy_message(box.bytes[i], consumer.pool.bytes(there[i]).data(), kMessageBytes);
    }
    told.hand_out(count);
    for (const BufferHandle& handle : there) consumer.pool.give_back(handle);
    consumer.ring.release(count);
    told.finish(count);
  }
  struct Held {
    std::uint64_t count;
    BufferHandle handles[kSlots];
  };
  static std::uint64_t hold(Consumer& consumer, Held& held, Box& box) {
    std::span<const BufferHandle> there;
    held.count = 0;
    while (consumer.ring.try_peek(there) == Transfer::kDone) {
      for (const BufferHandle& handle : there) {
        copy_message(box.bytes[held.count], consumer.pool.bytes(handle).data(), kMessageBytes);
        held.handles[held.count++] = handle;
      }
    }
    return held.count;
  }
  static void release(Consumer& consumer, const Held& held, Told& told) {
    for (std::size_t i = 0; i < held.count; ++i) consumer.pool.give_back(held.handles[i]);
    consumer.ring.release(held.count);
    told.finish(held.count);
  }
  template <typename Sink>
  static Transfer take(Consumer& consumer, Sink sink) {
    const bool is_marked = consumer.ring.redelivered_count() != 0;
    std::span<const BufferHandle> there;
    const Transfer answer = consumer.ring.try_peek(there);
    if (answer != Transfer::kDone) return answer;
    std::uint64_t left = is_marked ? consumer.ring.redelivered_count() : there.size();
    for (const BufferHandle& handle : there) {
      // One that a predecessor gave back is finished, although the ring does not know it.
      if (consumer.pool.holds(handle)) {
        sink(consumer.pool.bytes(handle).first(kMessageBytes), is_marked && left != 0);
        consumer.pool.give_back(handle);
      }
      if (left != 0) --left;
    }
    consumer.ring.release(there.size());
    return answer;
  }
  // Nothing is under way: every buffer is free.
  [[nodiscard]] static bool is_whole(const Producer& producer) {
    return producer.pool.lent_count() == 0;
  }
};

}  // namespace slipring::crash

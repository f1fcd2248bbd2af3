// Rings in private memory, for benchmarks, and messages whose every word can be checked.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "bench/ring/heap_bytes.h"
#include "core/cpu/cache_line.h"
#include "core/cpu/relax.h"
#include "core/ring/record_ring.h"
#include "core/ring/slot_ring.h"

namespace slipring {

struct HeapSlotRing {
  explicit HeapSlotRing(const SlotGeometry& geometry)
      : slots(slot_slots_bytes(geometry)),
        producer(
            SlotProducer::attach(producer_page, slots.data(), consumer_page, geometry).value()),
        consumer(
            SlotConsumer::attach(consumer_page, producer_page, slots.data(), geometry).value()) {}

  ProducerPage producer_page{};
  ConsumerPage consumer_page{};
  HeapBytes slots;
  alignas(kAbiLineBytes) SlotProducer producer;
  alignas(kAbiLineBytes) SlotConsumer consumer;
};

struct HeapRecordRing {
  explicit HeapRecordRing(const RecordGeometry& geometry)
      : bytes(geometry.capacity_bytes),
        producer(
            RecordProducer::attach(producer_page, bytes.data(), consumer_page, geometry).value()),
        consumer(
            RecordConsumer::attach(consumer_page, producer_page, bytes.data(), geometry).value()) {}

  ProducerPage producer_page{};
  ConsumerPage consumer_page{};
  HeapBytes bytes;
  alignas(kAbiLineBytes) RecordProducer producer;
  alignas(kAbiLineBytes) RecordConsumer consumer;
};

// Words number, number + 1, …; the size is a multiple of 8.
inline void write_words(std::span<std::byte> message, std::uint64_t number) noexcept {
  for (std::size_t at = 0; at < message.size(); at += 8) {
    const std::uint64_t word = number + at;
    std::memcpy(message.data() + at, &word, 8);
  }
}

[[nodiscard]] inline bool words_are(std::span<const std::byte> message,
                                    std::uint64_t number) noexcept {
  std::uint64_t difference = 0;
  for (std::size_t at = 0; at < message.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, message.data() + at, 8);
    difference |= word ^ (number + at);
  }
  return difference == 0;
}

}  // namespace slipring

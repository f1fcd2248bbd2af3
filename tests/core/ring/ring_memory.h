// Private memory in the shape of a ring's shared memory, each block of its exact size, so that
// AddressSanitizer sees every access beside it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/cpu/cache_line.h"
#include "core/ring/cursor_page.h"
#include "core/ring/record_ring.h"
#include "core/ring/slot_ring.h"
#include "core/ring/spsc_ring.h"

namespace slipring {

// Zeroed bytes on a line of their own.
class ExactBytes {
 public:
  explicit ExactBytes(std::uint64_t size_bytes)
      : size_bytes_(static_cast<std::size_t>(size_bytes)),
        bytes_(static_cast<std::byte*>(
            ::operator new (size_bytes_, std::align_val_t{kAbiLineBytes}))) {
    std::memset(bytes_.get(), 0, size_bytes_);
  }

  [[nodiscard]] std::byte* data() const { return bytes_.get(); }
  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  [[nodiscard]] bool contains(std::span<const std::byte> part) const {
    return part.data() >= data() && part.data() + part.size() <= data() + size_bytes_;
  }
  [[nodiscard]] std::atomic<std::uint64_t>& word(std::uint64_t offset_bytes) const {
    return *reinterpret_cast<std::atomic<std::uint64_t>*>(data() + offset_bytes);
  }

 private:
  struct Free {
    void operator()(std::byte* bytes) const {
      ::operator delete (bytes, std::align_val_t{kAbiLineBytes});
    }
  };
  std::size_t size_bytes_;
  std::unique_ptr<std::byte, Free> bytes_;
};

struct SlotRingMemory {
  explicit SlotRingMemory(const SlotGeometry& shape)
      : geometry(shape), slots(slot_slots_bytes(shape)) {}

  [[nodiscard]] Result<SlotProducer> try_producer() {
    return SlotProducer::attach(*producer_page, slots.data(), *consumer_page, geometry);
  }
  [[nodiscard]] Result<SlotConsumer> try_consumer() {
    return SlotConsumer::attach(*consumer_page, *producer_page, slots.data(), geometry);
  }
  [[nodiscard]] SlotProducer producer() { return try_producer().value(); }
  [[nodiscard]] SlotConsumer consumer() { return try_consumer().value(); }
  [[nodiscard]] std::atomic<std::uint64_t>& sequence(std::uint64_t position) const {
    return slots.word((position & (geometry.slot_count - 1)) *
                      slot_stride_bytes(geometry.slot_bytes));
  }

  SlotGeometry geometry;
  ExactBytes producer_bytes{sizeof(ProducerPage)};
  ExactBytes consumer_bytes{sizeof(ConsumerPage)};
  ProducerPage* producer_page = reinterpret_cast<ProducerPage*>(producer_bytes.data());
  ConsumerPage* consumer_page = reinterpret_cast<ConsumerPage*>(consumer_bytes.data());
  ExactBytes slots;
};

struct RecordMemory {
  explicit RecordMemory(const RecordGeometry& shape)
      : geometry(shape), bytes(shape.capacity_bytes) {}

  [[nodiscard]] Result<RecordProducer> try_producer() {
    return RecordProducer::attach(*producer_page, bytes.data(), *consumer_page, geometry);
  }
  [[nodiscard]] Result<RecordConsumer> try_consumer() {
    return RecordConsumer::attach(*consumer_page, *producer_page, bytes.data(), geometry);
  }
  [[nodiscard]] RecordProducer producer() { return try_producer().value(); }
  [[nodiscard]] RecordConsumer consumer() { return try_consumer().value(); }

  RecordGeometry geometry;
  ExactBytes producer_bytes{sizeof(ProducerPage)};
  ExactBytes consumer_bytes{sizeof(ConsumerPage)};
  ProducerPage* producer_page = reinterpret_cast<ProducerPage*>(producer_bytes.data());
  ConsumerPage* consumer_page = reinterpret_cast<ConsumerPage*>(consumer_bytes.data());
  ExactBytes bytes;
};

template <SpscValue T>
struct SpscMemory {
  explicit SpscMemory(const SpscGeometry& shape)
      : geometry(shape), slots(spsc_place_count(shape) * sizeof(T)) {}

  [[nodiscard]] Result<SpscProducer<T>> try_producer() {
    return SpscProducer<T>::attach(*producer_page, first(), *consumer_page, geometry);
  }
  [[nodiscard]] Result<SpscConsumer<T>> try_consumer() {
    return SpscConsumer<T>::attach(*consumer_page, *producer_page, first(), geometry);
  }
  [[nodiscard]] SpscProducer<T> producer() { return try_producer().value(); }
  [[nodiscard]] SpscConsumer<T> consumer() { return try_consumer().value(); }
  [[nodiscard]] T* first() const { return reinterpret_cast<T*>(slots.data()); }

  SpscGeometry geometry;
  ExactBytes producer_bytes{sizeof(ProducerPage)};
  ExactBytes consumer_bytes{sizeof(ConsumerPage)};
  ProducerPage* producer_page = reinterpret_cast<ProducerPage*>(producer_bytes.data());
  ConsumerPage* consumer_page = reinterpret_cast<ConsumerPage*>(consumer_bytes.data());
  ExactBytes slots;
};

// A message of `size` bytes that only `number` makes, so that a mixed-up or torn one is seen.
inline void write_pattern(std::span<std::byte> message, std::uint64_t number) {
  std::uint64_t state = number * 0x9e37'79b9'7f4a'7c15 + 1;
  for (std::byte& byte : message) {
    state = state * 6364136223846793005 + 1442695040888963407;
    byte = static_cast<std::byte>(state >> 56);
  }
}

[[nodiscard]] inline bool has_pattern(std::span<const std::byte> message, std::uint64_t number) {
  std::vector<std::byte> wanted(message.size());
  write_pattern(wanted, number);
  return std::equal(message.begin(), message.end(), wanted.begin());
}

}  // namespace slipring

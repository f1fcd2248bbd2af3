// Private memory in the shape of a byte stream's shared memory, each block of its exact size, and
// streams whose every byte tells its position.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/ring/byte_stream.h"
#include "core/ring/cursor_page.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring {

struct StreamMemory {
  explicit StreamMemory(const StreamGeometry& shape)
      : geometry(shape), bytes(shape.capacity_bytes) {}

  [[nodiscard]] Result<StreamProducer> try_producer() {
    return StreamProducer::attach(*producer_page, bytes.data(), *consumer_page, geometry);
  }
  [[nodiscard]] Result<StreamConsumer> try_consumer() {
    return StreamConsumer::attach(*consumer_page, *producer_page, bytes.data(), geometry);
  }
  [[nodiscard]] StreamProducer producer() { return try_producer().value(); }
  [[nodiscard]] StreamConsumer consumer() { return try_consumer().value(); }
  template <typename Byte>
  [[nodiscard]] bool contains(const StreamParts<Byte>& parts) const {
    return bytes.contains(parts.first) && (parts.second.empty() || bytes.contains(parts.second));
  }

  StreamGeometry geometry;
  ExactBytes producer_bytes{sizeof(ProducerPage)};
  ExactBytes consumer_bytes{sizeof(ConsumerPage)};
  ProducerPage* producer_page = reinterpret_cast<ProducerPage*>(producer_bytes.data());
  ConsumerPage* consumer_page = reinterpret_cast<ConsumerPage*>(consumer_bytes.data());
  ExactBytes bytes;
};

// The byte that stands at a position, never 0: neighbours differ, and so do laps.
[[nodiscard]] inline std::byte byte_at(std::uint64_t position) {
  return static_cast<std::byte>((position * 0x9e37'79b9'7f4a'7c15 >> 56) | 1);
}

inline void write_stream(std::span<std::byte> bytes, std::uint64_t position) {
  for (std::byte& byte : bytes) byte = byte_at(position++);
}

[[nodiscard]] inline bool is_stream(std::span<const std::byte> bytes, std::uint64_t position) {
  return std::all_of(bytes.begin(), bytes.end(),
                     [&position](std::byte byte) { return byte == byte_at(position++); });
}

[[nodiscard]] inline bool is_stream(const StreamParts<const std::byte>& parts,
                                    std::uint64_t position) {
  return is_stream(parts.first, position) && is_stream(parts.second, position + parts.first.size());
}

// Writes `count` bytes of the stream by copying; answers how many were taken.
[[nodiscard]] inline std::size_t write_some(StreamProducer& producer, std::size_t count) {
  std::vector<std::byte> bytes(count);
  write_stream(bytes, producer.position());
  std::size_t written = 0;
  static_cast<void>(producer.try_write(bytes, written));
  return written;
}

// Reads at most `count` bytes by copying; false when one of them is wrong.
[[nodiscard]] inline bool read_some(StreamConsumer& consumer, std::size_t count,
                                    std::size_t& read) {
  std::vector<std::byte> bytes(count);
  const std::uint64_t position = consumer.done();
  const Transfer answer = consumer.try_read(bytes, read);
  return answer != Transfer::kCorruptPeer && is_stream(std::span(bytes).first(read), position);
}

}  // namespace slipring

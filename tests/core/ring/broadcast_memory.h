// Private memory in the shape of a broadcast ring's shared memory, each block of its exact size.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/ring/broadcast_ring.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring {

struct BroadcastMemory {
  explicit BroadcastMemory(const BroadcastGeometry& shape)
      : geometry(shape), slots(broadcast_slots_bytes(shape)) {
    for (std::uint32_t i = 0; i < shape.reader_count; ++i) {
      reader_bytes.push_back(std::make_unique<ExactBytes>(sizeof(BroadcastReaderPage)));
      reader_pages.push_back(reinterpret_cast<BroadcastReaderPage*>(reader_bytes[i]->data()));
    }
  }

  [[nodiscard]] Result<BroadcastWriter> try_writer() {
    const std::vector<const BroadcastReaderPage*> pages(reader_pages.begin(), reader_pages.end());
    return BroadcastWriter::attach(*writer_page, slots.data(), pages, geometry);
  }
  [[nodiscard]] Result<BroadcastReader> try_reader(std::uint32_t index) {
    return BroadcastReader::attach(*reader_pages[index], *writer_page, slots.data(), index,
                                   geometry);
  }
  [[nodiscard]] BroadcastWriter writer() { return try_writer().value(); }
  [[nodiscard]] BroadcastReader reader(std::uint32_t index) { return try_reader(index).value(); }
  // A reader that has joined.
  [[nodiscard]] BroadcastReader member(std::uint32_t index, BroadcastJoin at) {
    BroadcastReader end = reader(index);
    if (!end.join(at)) std::abort();
    return end;
  }
  [[nodiscard]] std::atomic<std::uint64_t>& state(std::uint64_t position) const {
    return slots.word((position & (geometry.slot_count - 1)) *
                      broadcast_stride_bytes(geometry.slot_bytes));
  }

  BroadcastGeometry geometry;
  ExactBytes writer_bytes{sizeof(BroadcastWriterPage)};
  BroadcastWriterPage* writer_page = reinterpret_cast<BroadcastWriterPage*>(writer_bytes.data());
  std::vector<std::unique_ptr<ExactBytes>> reader_bytes;
  std::vector<BroadcastReaderPage*> reader_pages;
  ExactBytes slots;
};

inline constexpr std::array<BroadcastPolicy, 3> kAllPolicies{
    BroadcastPolicy::kOverwrite, BroadcastPolicy::kBlock, BroadcastPolicy::kEvict};

// Pushes message number `position - start`, which has_pattern() knows again.
[[nodiscard]] inline Transfer push_pattern(BroadcastWriter& writer) {
  std::vector<std::byte> message(writer.slot_bytes());
  write_pattern(message, writer.position());
  return writer.try_push(message);
}

}  // namespace slipring

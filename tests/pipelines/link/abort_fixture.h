// A link that is commanded to drop what is queued: what was put, and what is left.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "pipelines/link/commander.h"
#include "tests/pipelines/link/guarded_fixture.h"

namespace slipring {

inline constexpr const char* kName = "t.link";

// A record of any length, beginning with its number.
[[nodiscard]] inline bool put_record(LinkWriter& writer, std::uint64_t number) {
  const std::uint64_t size_bytes = 8 + number * 29 % 150;
  std::span<std::byte> place;
  if (writer.try_reserve(size_bytes, place) != Transfer::kDone) return false;
  std::memcpy(place.data(), &number, sizeof number);
  writer.commit(size_bytes);
  return true;
}

[[nodiscard]] inline LinkShape pool_shape() {
  LinkShape shape = test::slots(16, 16);
  shape.pool_buffer_count = 8;
  shape.pool_buffer_bytes = 4096;
  return shape;
}

// Sends a number with a buffer of the pool; false when there is none.
[[nodiscard]] inline bool put_buffer(LinkWriter& writer, std::uint64_t number) {
  std::uint32_t slot = 0;
  std::span<std::byte> place;
  if (!writer.has_space(16) || writer.pool()->try_acquire(slot) != Transfer::kDone) return false;
  REQUIRE(writer.try_reserve(16, place) == Transfer::kDone);
  const BufferHandle handle = writer.pool()->lend(slot);
  writer.pool()->drop(slot);
  std::memcpy(place.data(), &handle, sizeof handle);
  std::memcpy(place.data() + 8, &number, sizeof number);
  writer.commit(16);
  return true;
}

inline AbortTicket command(const SegmentDirectory& directory) {
  LinkCommander commander = test::must(LinkCommander::attach(directory, kName));
  return test::must(commander.abort());
}

// What is there, each finished at once.
inline std::vector<std::uint64_t> drain(LinkReader& reader) {
  std::vector<std::uint64_t> numbers;
  Message message;
  while (reader.try_peek(message) == Transfer::kDone) {
    numbers.push_back(test::number_in(message));
    reader.release(message);
  }
  return numbers;
}

inline std::vector<std::uint64_t> from_to(std::uint64_t first, std::uint64_t last) {
  std::vector<std::uint64_t> numbers;
  for (; first != last; ++first) numbers.push_back(first);
  return numbers;
}

}  // namespace slipring

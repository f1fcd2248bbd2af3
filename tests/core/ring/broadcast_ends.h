// A broadcast ring's ends as its tests use them: messages with a pattern, written and taken.
#pragma once

#include <doctest/doctest.h>

#include <vector>

#include "core/ring/broadcast_ring.h"
#include "tests/core/ring/broadcast_memory.h"

namespace slipring {

inline constexpr BroadcastPolicy kOverwrite = BroadcastPolicy::kOverwrite;
inline constexpr BroadcastPolicy kBlock = BroadcastPolicy::kBlock;
inline constexpr BroadcastPolicy kEvict = BroadcastPolicy::kEvict;
inline constexpr BroadcastJoin kNewest = BroadcastJoin::kNewest;
inline constexpr BroadcastJoin kOldest = BroadcastJoin::kOldest;

inline constexpr std::uint64_t kStarts[] = {0, (std::uint64_t{1} << 32) - 3,
                                            (std::uint64_t{1} << 63) - 3};

inline BroadcastGeometry shape(BroadcastPolicy policy, std::uint64_t slot_count = 8,
                               std::uint64_t start = 0) {
  return {slot_count, 24, start, 4, policy, policy == kEvict ? slot_count / 2 : 0};
}

inline void push(BroadcastWriter& writer, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) REQUIRE(push_pattern(writer) == Transfer::kDone);
}

// Takes the next message, which must be whole and the one after `lost` others.
inline void take(BroadcastReader& reader, std::uint64_t position, std::uint64_t lost = 0) {
  std::vector<std::byte> message(reader.slot_bytes());
  BroadcastView view;
  REQUIRE(reader.try_pop(message, view) == Reception::kDone);
  CHECK(view.position == position);
  CHECK(view.lost == lost);
  CHECK(has_pattern(message, position));
}

inline Reception pop(BroadcastReader& reader) {
  std::vector<std::byte> message(reader.slot_bytes());
  BroadcastView view;
  return reader.try_pop(message, view);
}

}  // namespace slipring

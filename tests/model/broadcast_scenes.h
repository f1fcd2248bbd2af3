// The scenes of the broadcast ring.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/model/broadcast_play.h"
#include "tests/model/explorer.h"

namespace slipring::model {

[[nodiscard]] inline Scene broadcast_scene(const char* name, std::uint32_t deaths,
                                           const BroadcastBounds& shape) {
  Bounds bounds;
  bounds.deaths = deaths;
  return scene_of<BroadcastPlay>(name, bounds, shape);
}

inline constexpr std::uint64_t kBroadcastBeforeWrap = (std::uint64_t{1} << 32) - 2;

// The largest that are here with few preemptions, and in broadcast_deep_scenes() with any.
[[nodiscard]] inline Scene broadcast_mortal_joiner() {
  return broadcast_scene("overwrite, join, 1 death", 1,
                         {.writes = {WriteStep::kPush, WriteStep::kPush},
                          .reads = {{ReadStep::kJoinNewest, ReadStep::kPop}},
                          .are_members = false,
                          .has_heirs = true});
}
[[nodiscard]] inline Scene broadcast_joiner_at_oldest() {
  return broadcast_scene("overwrite, join at the oldest", 0,
                         {.writes = {WriteStep::kPush, WriteStep::kPush, WriteStep::kPush},
                          .reads = {{ReadStep::kJoinOldest, ReadStep::kPop}},
                          .are_members = false});
}

[[nodiscard]] inline Scene broadcast_blocking_joiner() {
  return broadcast_scene("block, join", 0,
                         {.policy = BroadcastPolicy::kBlock,
                          .writes = {WriteStep::kPush, WriteStep::kPush, WriteStep::kPush},
                          .reads = {{ReadStep::kJoinNewest, ReadStep::kPop}},
                          .are_members = false});
}
[[nodiscard]] inline Scene broadcast_mortal_passer() {
  return broadcast_scene("passed over, 1 death", 1,
                         {.writes = {WriteStep::kPassOver, WriteStep::kPush},
                          .reads = {{ReadStep::kPop}},
                          .has_heirs = true});
}

[[nodiscard]] inline std::vector<Scene> broadcast_larger_scenes() {
  return {
      broadcast_scene("block, leave and join again", 0,
                      {.policy = BroadcastPolicy::kBlock,
                       .writes = {WriteStep::kPush, WriteStep::kPush, WriteStep::kPush,
                                  WriteStep::kPush, WriteStep::kPush},
                       .reads = {{ReadStep::kLeave, ReadStep::kJoinNewest}}}),
      within(2, "overwrite, join, 1 death, 2 preemptions", broadcast_mortal_joiner()),
      broadcast_scene(
          "block, dropped", 0,
          {.policy = BroadcastPolicy::kBlock,
           .writes = {WriteStep::kPush, WriteStep::kDrop, WriteStep::kPush, WriteStep::kPush},
           .reads = {{ReadStep::kPop}}}),
      broadcast_scene("evict at a lag of 1", 0,
                      {.policy = BroadcastPolicy::kEvict,
                       .writes = {WriteStep::kPush, WriteStep::kPush, WriteStep::kPush},
                       .reads = {{ReadStep::kPop}},
                       .lag_limit = 1}),
      broadcast_scene("block, 1 death", 1,
                      {.policy = BroadcastPolicy::kBlock,
                       .writes = {WriteStep::kPush, WriteStep::kPush},
                       .reads = {{ReadStep::kCopy}},
                       .start_position = kBroadcastBeforeWrap,
                       .has_heirs = true}),
  };
}

// A writer that passes a position over.
[[nodiscard]] inline std::vector<Scene> broadcast_missing_scenes() {
  return {
      broadcast_scene("overwrite, passed over", 0,
                      {.writes = {WriteStep::kPush, WriteStep::kPassOver, WriteStep::kPush},
                       .reads = {{ReadStep::kPop, ReadStep::kPop}}}),
      broadcast_scene("overwrite, passed over, join at the oldest", 0,
                      {.writes = {WriteStep::kPassOver, WriteStep::kPush},
                       .reads = {{ReadStep::kJoinOldest, ReadStep::kPop}},
                       .are_members = false}),
      broadcast_scene("overwrite, passed over, join", 0,
                      {.writes = {WriteStep::kPush, WriteStep::kPassOver},
                       .reads = {{ReadStep::kJoinNewest, ReadStep::kPop}},
                       .are_members = false}),
      broadcast_scene(
          "block, passed over", 0,
          {.policy = BroadcastPolicy::kBlock,
           .writes = {WriteStep::kPush, WriteStep::kPassOver, WriteStep::kPush, WriteStep::kPush},
           .reads = {{ReadStep::kPeek, ReadStep::kPop}}}),
      within(2, "passed over, 1 death, 2 preemptions", broadcast_mortal_passer()),
      broadcast_scene("passed over, abort", 0,
                      {.writes = {WriteStep::kPassOver, WriteStep::kAbort, WriteStep::kPush},
                       .reads = {{ReadStep::kSkip, ReadStep::kPop}}}),
  };
}

// Two slots.
[[nodiscard]] inline std::vector<Scene> broadcast_scenes() {
  std::vector<Scene> all = {
      broadcast_scene("block, in place", 0,
                      {.policy = BroadcastPolicy::kBlock,
                       .writes = {WriteStep::kReserve, WriteStep::kReserve, WriteStep::kReserve},
                       .reads = {{ReadStep::kPeek}}}),
      broadcast_scene("block, leave", 0,
                      {.policy = BroadcastPolicy::kBlock,
                       .writes = {WriteStep::kPush, WriteStep::kPush, WriteStep::kPushWaiting},
                       .reads = {{ReadStep::kPeek, ReadStep::kLeave}}}),
      broadcast_scene("block, abort", 0,
                      {.policy = BroadcastPolicy::kBlock,
                       .writes = {WriteStep::kPush, WriteStep::kAbort, WriteStep::kPush},
                       .reads = {{ReadStep::kSkip, ReadStep::kPop}}}),
      broadcast_scene("block, a writer that waits", 0,
                      {.policy = BroadcastPolicy::kBlock,
                       .writes = {WriteStep::kPush, WriteStep::kPush, WriteStep::kPushWaiting},
                       .reads = {{ReadStep::kPopWaiting}}}),
      broadcast_scene("overwrite, copy", 0,
                      {.writes = {WriteStep::kPush, WriteStep::kPush, WriteStep::kPush},
                       .reads = {{ReadStep::kCopy}}}),
      broadcast_scene("overwrite", 0,
                      {.writes = {WriteStep::kPush, WriteStep::kPush, WriteStep::kPush},
                       .reads = {{ReadStep::kPop}}}),
      broadcast_scene("evict, copy", 0,
                      {.policy = BroadcastPolicy::kEvict,
                       .writes = {WriteStep::kPush, WriteStep::kPush, WriteStep::kPush},
                       .reads = {{ReadStep::kCopy}}}),
      broadcast_scene("block, at 2^32 - 2", 0,
                      {.policy = BroadcastPolicy::kBlock,
                       .writes = {WriteStep::kPush, WriteStep::kPush, WriteStep::kPush},
                       .reads = {{ReadStep::kPop, ReadStep::kPop}},
                       .start_position = kBroadcastBeforeWrap}),
      broadcast_scene("evict", 0,
                      {.policy = BroadcastPolicy::kEvict,
                       .writes = {WriteStep::kPush, WriteStep::kPush, WriteStep::kPush},
                       .reads = {{ReadStep::kPop}},
                       .start_position = kBroadcastBeforeWrap}),
      within(3, "block, join, 3 preemptions", broadcast_blocking_joiner()),
      within(3, "overwrite, join at the oldest, 3 preemptions", broadcast_joiner_at_oldest()),
      broadcast_scene("overwrite, 2 pops", 0,
                      {.writes = {WriteStep::kPush, WriteStep::kPush, WriteStep::kPush},
                       .reads = {{ReadStep::kPop, ReadStep::kPop}},
                       .start_position = kBroadcastBeforeWrap}),
  };
  for (const auto& more : {broadcast_missing_scenes(), broadcast_larger_scenes()}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

// For campaigns.
[[nodiscard]] inline std::vector<Scene> broadcast_deep_scenes() {
  return {broadcast_mortal_joiner(), broadcast_joiner_at_oldest(), broadcast_blocking_joiner(),
          broadcast_mortal_passer()};
}

}  // namespace slipring::model

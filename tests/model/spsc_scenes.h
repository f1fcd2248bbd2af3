// The scenes of the rings with one producer and one consumer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/model/explorer.h"
#include "tests/model/spsc_play.h"

namespace slipring::model {

inline constexpr std::uint64_t kNear32Bits = (std::uint64_t{1} << 32) - 1;
inline constexpr std::uint64_t kNear63Bits = (std::uint64_t{1} << 63) - 1;

// `name` must outlive the scene.
template <typename Ring>
[[nodiscard]] Scene spsc_scene(const char* name, SpscPlan plan, std::uint32_t deaths = 0,
                               std::uint32_t stops = 0) {
  plan.successors = deaths;
  Bounds bounds;
  bounds.deaths = deaths;
  bounds.stops = stops;
  return scene_of<SpscPlay<Ring>>(name, bounds, plan);
}

[[nodiscard]] inline SpscPlan moving(Way way, std::uint64_t messages, const Shape& shape = {}) {
  SpscPlan plan;
  plan.push = plan.take = way;
  plan.messages = messages;
  plan.shape = shape;
  return plan;
}
[[nodiscard]] inline SpscPlan trying(Way way, std::uint64_t tries) {
  SpscPlan plan = moving(way, tries);
  plan.tries = tries;
  return plan;
}
[[nodiscard]] inline SpscPlan aborting(Way way, bool skips) {
  SpscPlan plan = moving(way, 2);
  plan.abort_at = 1;
  plan.skips = skips;
  return plan;
}

// An abort that is the last that happens, and perhaps seen by nobody.
[[nodiscard]] inline SpscPlan aborting_last() {
  SpscPlan plan = trying(Way::kInPlace, 1);
  plan.abort_at = 1;
  return plan;
}

// What a waiter asks changes nothing, and its yes is kept.
[[nodiscard]] inline SpscPlan asking() {
  SpscPlan plan = moving(Way::kCopy, 3);
  plan.asks = true;
  return plan;
}

// Small enough for each build.
template <typename Ring>
[[nodiscard]] std::vector<Scene> spsc_scenes() {
  return {
      spsc_scene<Ring>("2 x 2 tries, copied", trying(Way::kCopy, 2)),
      spsc_scene<Ring>("2 x 2 tries, in place", trying(Way::kInPlace, 2)),
      spsc_scene<Ring>("3 through 2, batches", moving(Way::kBatch, 3)),
      spsc_scene<Ring>("3 through 2, copied", moving(Way::kCopy, 3, {2, kNear32Bits})),
      spsc_scene<Ring>("3 through 2, in place", moving(Way::kInPlace, 3, {2, kNear63Bits})),
      spsc_scene<Ring>("abort", aborting(Way::kInPlace, false)),
      spsc_scene<Ring>("abort at the end", aborting_last()),
      spsc_scene<Ring>("abort and skip", aborting(Way::kCopy, true)),
      spsc_scene<Ring>("2 through 2, a death, copied", moving(Way::kCopy, 2), 1),
      spsc_scene<Ring>("2 through 2, a death, in place", moving(Way::kInPlace, 2), 1),
      spsc_scene<Ring>("3 through 2, a death, batches", moving(Way::kBatch, 3), 1),
      spsc_scene<Ring>("abort, a death", aborting(Way::kInPlace, true), 1),
      spsc_scene<Ring>("2 through 2, a stop", moving(Way::kInPlace, 2), 0, 1),
  };
}

// For campaigns, and for what the small ones let through.
template <typename Ring>
[[nodiscard]] std::vector<Scene> spsc_deep_scenes() {
  return {
      spsc_scene<Ring>("4 through 2, copied", moving(Way::kCopy, 4)),
      spsc_scene<Ring>("5 through 2, in place", moving(Way::kInPlace, 5)),
      spsc_scene<Ring>("3 through 2, a death, copied", moving(Way::kCopy, 3), 1),
      spsc_scene<Ring>("3 through 2, a death, in place", moving(Way::kInPlace, 3), 1),
      spsc_scene<Ring>("2 through 2, 2 deaths, in place", moving(Way::kInPlace, 2), 2),
      spsc_scene<Ring>("3 through 2, a stop", moving(Way::kInPlace, 3), 0, 1),
      spsc_scene<Ring>("3 through 2, a death and a stop", moving(Way::kCopy, 3), 1, 1),
      spsc_scene<Ring>("6 through 4, copied", moving(Way::kCopy, 6, {4, 0})),
  };
}

}  // namespace slipring::model

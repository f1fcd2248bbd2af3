// The scenes of many-to-many rings.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/model/explorer.h"
#include "tests/model/mpmc_play.h"

namespace slipring::model {

[[nodiscard]] inline Scene mpmc_scene(const char* name, std::uint32_t deaths,
                                      const MpmcBounds& shape, std::uint32_t stops = 0) {
  Bounds bounds;
  bounds.deaths = deaths;
  bounds.stops = stops;
  return scene_of<MpmcPlay<>>(name, bounds, shape);
}

// The largest that are here with few preemptions, and in mpmc_deep_scenes() with any.
[[nodiscard]] inline Scene mpmc_two_consumers() {
  return mpmc_scene("1P x 2C, 1 slot", 0, {.pushes = {2}, .pops = {1, 1}});
}
[[nodiscard]] inline Scene mpmc_telling_consumers() {
  return mpmc_scene("1P x 2C, 2 slots, who know of each other", 0,
                    {.slot_count = 2, .pushes = {2}, .pops = {1, 1}, .tells = true});
}
[[nodiscard]] inline Scene mpmc_mortal_producer() {
  return mpmc_scene("2P x 1C, 1 slot, the first producer dies and has a successor", 1,
                    {.pushes = {1, 1}, .pops = {2}, .mortals = 1, .has_successors = true});
}

// Small ones first: most mutants meet their end there.
[[nodiscard]] inline std::vector<Scene> mpmc_scenes() {
  return {
      mpmc_scene("1P x 1C, 1 slot", 0, {.pushes = {2}, .pops = {2}}),
      mpmc_scene("2P x 1C, 2 slots", 0, {.slot_count = 2, .pushes = {1, 1}, .pops = {2}}),
      mpmc_scene("2P x 1C, 1 slot", 0, {.pushes = {1, 1}, .pops = {2}}),
      mpmc_scene("2P x 1C, 2 slots, 1 death, judged in the end", 1,
                 {.slot_count = 2, .pushes = {1, 1}, .pops = {2}}),
      mpmc_scene("1P x 1C, 2 slots, round the wrap of the state", 0,
                 {.slot_count = 2, .pushes = {3}, .pops = {3}, .before_wrap = 2}),
      within(3, "1P x 2C, 1 slot, 3 preemptions", mpmc_two_consumers()),
      mpmc_scene("1P x 1C, 2 slots, batches of 2, 1 death and a successor", 1,
                 {.slot_count = 2, .pushes = {2}, .pops = {2}, .batch = 2, .has_successors = true}),
      within(2, "1P x 2C, 2 slots, who know of each other, 2 preemptions",
             mpmc_telling_consumers()),
      mpmc_scene("1P x 1C, 1 slot, 1 death and a successor", 1,
                 {.pushes = {2}, .pops = {2}, .has_successors = true}),
      within(1, "2P x 1C, 1 slot, the first producer dies and has a successor, 1 preemption",
             mpmc_mortal_producer()),
  };
}

// Of those who stop for ever.
[[nodiscard]] inline std::vector<Scene> mpmc_stop_scenes() {
  return {
      mpmc_scene("2P x 1C, 1 slot, 1 stop", 0, {.pushes = {1, 1}, .pops = {2}}, 1),
      mpmc_scene("1P x 2C, 1 slot, 1 stop", 0, {.pushes = {2}, .pops = {1, 1}}, 1),
  };
}

// For campaigns.
[[nodiscard]] inline std::vector<Scene> mpmc_deep_scenes() {
  const MpmcBounds two_of_each{.pushes = {1, 1}, .pops = {1, 1}};
  return {
      mpmc_two_consumers(),
      mpmc_telling_consumers(),
      mpmc_mortal_producer(),
      mpmc_scene("2P x 1C, 1 slot, 1 death and 1 stop", 1, {.pushes = {1, 1}, .pops = {2}}, 1),
      mpmc_scene("2P x 2C, 1 slot", 0, two_of_each),
      mpmc_scene("2P x 2C, 1 slot, 1 death, judged in the end", 1, two_of_each),
      mpmc_scene("2P x 2C, 2 slots, 1 death, judged in the end", 1,
                 {.slot_count = 2, .pushes = {1, 1}, .pops = {1, 1}}),
  };
}

}  // namespace slipring::model

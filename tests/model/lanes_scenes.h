// The scenes of lanes.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/model/explorer.h"
#include "tests/model/lanes_play.h"

namespace slipring::model {

// Three participants who do not hear of each other have many states: bounded, as stated.
[[nodiscard]] inline Scene lanes_scene(const char* name, const LanesPlan& plan,
                                       std::uint32_t preemptions) {
  Bounds bounds;
  bounds.deaths = plan.deaths;
  bounds.preemptions = preemptions;
  bounds.states = 150'000;
  return scene_of<LanesPlay>(name, bounds, plan);
}

// For campaigns.
[[nodiscard]] inline std::vector<Scene> lanes_deep_scenes() {
  constexpr std::uint32_t kAny = Bounds{}.preemptions;
  LanesPlan plan;
  plan.deaths = 1;
  plan.has_successors = true;
  LanesPlan longer = plan;
  longer.messages = 3;
  return {lanes_scene("a death, rung for by the successor", plan, kAny),
          lanes_scene("3 messages a lane and a death", longer, kAny)};
}

}  // namespace slipring::model

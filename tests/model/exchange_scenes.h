// The scenes of the exchange ring.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/model/exchange_play.h"
#include "tests/model/explorer.h"

namespace slipring::model {

[[nodiscard]] inline Scene exchange_scene(const char* name, std::uint32_t deaths,
                                          const MpmcBounds& shape) {
  Bounds bounds;
  bounds.deaths = deaths;
  return scene_of<ExchangePlay>(name, bounds, shape);
}

[[nodiscard]] inline std::vector<Scene> exchange_scenes() {
  return {
      exchange_scene("1P x 1C, 1 slot", 0, {.pushes = {2}, .pops = {2}}),
      exchange_scene("2P x 1C, 1 slot", 0, {.pushes = {1, 1}, .pops = {2}}),
      exchange_scene("1P x 2C, 1 slot", 0, {.pushes = {1}, .pops = {1, 1}}),
      exchange_scene("2P x 1C, 1 slot, 1 death, followed in the end", 1,
                     {.pushes = {1, 1}, .pops = {1}}),
      exchange_scene(
          "1P x 1C, 2 slots, round the wrap, 1 death and a successor", 1,
          {.slot_count = 2, .pushes = {2}, .pops = {2}, .before_wrap = 2, .has_successors = true}),
      exchange_scene("1P x 1C, 1 slot, 1 death and a successor", 1,
                     {.pushes = {2}, .pops = {2}, .has_successors = true}),
  };
}

}  // namespace slipring::model

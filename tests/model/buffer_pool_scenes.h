// The scenes of the buffer pool.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/model/buffer_pool_play.h"
#include "tests/model/explorer.h"

namespace slipring::model {

[[nodiscard]] inline Scene buffer_pool_scene(const char* name, std::uint32_t deaths,
                                             const PoolCase& shape) {
  Bounds bounds;
  bounds.deaths = deaths;
  return scene_of<BufferPoolPlay>(name, bounds, shape);
}

[[nodiscard]] inline std::vector<Scene> buffer_pool_scenes() {
  const std::uint64_t wrap = (std::uint64_t{1} << 32) - 2;
  return {
      buffer_pool_scene("1 buffer", 0, {.lends = 2, .looks = 2}),
      buffer_pool_scene("2 buffers", 0, {.buffer_count = 2, .lends = 3, .looks = 3}),
      buffer_pool_scene("1 buffer, round the wrap", 0,
                        {.lends = 3, .looks = 3, .generation = wrap}),
      buffer_pool_scene("1 buffer, 2 deaths", 2,
                        {.lends = 2, .looks = 2, .has_heirs = true, .is_box_ordered = true}),
      buffer_pool_scene("2 buffers, 1 death, round the wrap", 1,
                        {.buffer_count = 2,
                         .lends = 3,
                         .looks = 2,
                         .generation = wrap,
                         .has_heirs = true,
                         .is_box_ordered = true}),
  };
}

}  // namespace slipring::model

// The scenes of the shared pool.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/model/explorer.h"
#include "tests/model/shared_pool_play.h"

namespace slipring::model {

[[nodiscard]] inline Scene shared_pool_scene(const char* name, std::uint32_t deaths,
                                             const PoolBounds& shape) {
  Bounds bounds;
  bounds.deaths = deaths;
  return scene_of<SharedPoolPlay>(name, bounds, shape);
}

inline constexpr std::uint64_t kPoolBeforeWrap = (std::uint64_t{1} << 44) - 2;
inline constexpr PoolTask kDoSend{PoolStep::kSend, 0};
inline constexpr PoolTask kDoClaim{PoolStep::kClaim, 0};
inline constexpr PoolTask kDoReuse{PoolStep::kReuse, 0};
inline constexpr PoolTask kDoTakeBack{PoolStep::kTakeBack, 0};
inline constexpr PoolTask kDoShare{PoolStep::kShare, 0};
inline constexpr PoolTask kDoHold{PoolStep::kHold, 0};
inline constexpr PoolTask kDoRetire{PoolStep::kRetire, 0};

// One buffer, unless said otherwise: who takes it takes the one that others know.
[[nodiscard]] inline std::vector<Scene> shared_pool_scenes() {
  return {
      shared_pool_scene("sent, claimed, used again", 0,
                        {.scripts = {{kDoSend, kDoReuse}, {kDoClaim}}}),
      shared_pool_scene("two claim it", 0, {.scripts = {{kDoSend}, {kDoClaim}, {kDoClaim}}}),
      shared_pool_scene("two take it", 0, {.scripts = {{kDoReuse, kDoReuse}, {kDoReuse}}}),
      shared_pool_scene("shared, held, retired, used again", 0,
                        {.scripts = {{kDoShare, kDoRetire, kDoReuse}, {kDoHold}}}),
      shared_pool_scene("refused by the ring", 0,
                        {.scripts = {{kDoTakeBack, kDoReuse}, {kDoReuse}}}),
      shared_pool_scene(
          "sent, claimed, used, round the wrap of names", 0,
          {.scripts = {{kDoSend, kDoReuse}, {kDoClaim, kDoReuse}}, .generation = kPoolBeforeWrap}),
      shared_pool_scene(
          "4 buffers and caches", 0,
          {.buffer_count = 4, .scripts = {{kDoReuse, kDoSend, kDoReuse}, {kDoClaim, kDoReuse}}}),
      shared_pool_scene(
          "4 buffers, and a cache given back", 0,
          {.buffer_count = 4,
           .scripts = {{kDoReuse, {PoolStep::kReturnCache, 0}},
                       {{PoolStep::kKeep, 0}, {PoolStep::kKeep, 0}, {PoolStep::kKeep, 0}}}}),
      shared_pool_scene(
          "sent and claimed, 1 death", 1,
          {.scripts = {{kDoSend}, {kDoClaim}}, .generation = kPoolBeforeWrap, .heir_count = 1}),
      shared_pool_scene("sent, two claim it, 1 death", 1,
                        {.scripts = {{kDoSend}, {kDoClaim}, {kDoClaim}}, .heir_count = 1}),
      shared_pool_scene("refused, 1 death", 1,
                        {.scripts = {{kDoTakeBack}, {kDoReuse}}, .heir_count = 1}),
      shared_pool_scene(
          "shared and held, 1 death, and the sharing ends with it", 1,
          {.scripts = {{kDoShare, kDoReuse}, {kDoHold}}, .heir_count = 1, .keeps_shared = false}),
      shared_pool_scene("shared, held, retired, used again, 1 death", 1,
                        {.scripts = {{kDoShare, kDoRetire, kDoReuse}, {kDoHold}}, .heir_count = 1}),
      shared_pool_scene("sent and claimed, 2 deaths, heirs' included", 2,
                        {.scripts = {{kDoSend}, {kDoClaim}}, .heir_count = 2}),
  };
}

}  // namespace slipring::model

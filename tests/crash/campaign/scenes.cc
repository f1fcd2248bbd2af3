#include "tests/crash/campaign/scenes.h"

#include <array>

namespace slipring::campaign {

std::span<Scene* const> all_scenes() {
  static const std::array kScenes{
      &typed_scene(),          &slot_scene(),         &record_scene(),       &stream_scene(),
      &mpmc_scene(),           &exchange_scene(),     &shared_pool_scene(),  &overwrite_scene(),
      &block_scene(),          &evict_scene(),        &lane_scene(),         &pool_scene(),
      &record_link_scene(),    &pool_link_scene(),    &value_link_scene(),   &relay_scene(),
      &guarded_record_scene(), &guarded_pool_scene(), &guarded_value_scene()};
  return kScenes;
}

}  // namespace slipring::campaign

// Every scene there is; a file a family.
#pragma once

#include "tests/crash/campaign/scene.h"

namespace slipring::campaign {

Scene& typed_scene();
Scene& slot_scene();
Scene& record_scene();
Scene& stream_scene();
Scene& mpmc_scene();
Scene& exchange_scene();
Scene& shared_pool_scene();
Scene& overwrite_scene();
Scene& block_scene();
Scene& evict_scene();
Scene& lane_scene();
Scene& pool_scene();
Scene& record_link_scene();
Scene& pool_link_scene();
Scene& value_link_scene();
Scene& relay_scene();
Scene& guarded_record_scene();
Scene& guarded_pool_scene();
Scene& guarded_value_scene();

}  // namespace slipring::campaign

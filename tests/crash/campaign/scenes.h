// Every scene there is; a file a family.
#pragma once

#include "tests/crash/campaign/scene.h"

namespace slipring::campaign {

Scene& typed_scene();
Scene& slot_scene();
Scene& record_scene();
Scene& stream_scene();

}  // namespace slipring::campaign

// `slipring ls`: the segments of this user, and who holds them.
#pragma once

#include "tools/cli/exit_status.h"

namespace slipring::tools {

struct ListRequest {
  bool json = false;
};

// A segment of another layout version is listed as such; it is no error.
ExitStatus list(const ListRequest& request);

}  // namespace slipring::tools

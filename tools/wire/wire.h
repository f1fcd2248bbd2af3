// `slipring wire`: links carried to and from other machines.
#pragma once

#include <string>
#include <vector>

#include "tools/cli/exit_status.h"

namespace slipring::tools {

struct WireRequest {
  std::string listen;              // an address; or
  std::string connect;             // likewise
  std::vector<std::string> sends;  // LINK, or LINK=NAME where the other machine calls it NAME
  std::vector<std::string> receives;
  bool once = false;  // end when every link's stream has ended
  bool json = false;
};

// Carries them until it is stopped or, as a client or with `once`, all has been carried
// (pipelines/wire/WIRE.md).  Killed and started again it goes on where it was.
ExitStatus wire(const WireRequest& request);

}  // namespace slipring::tools

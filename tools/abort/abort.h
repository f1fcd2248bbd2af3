// `slipring abort`: has a link's reader drop what is queued.
#pragma once

#include <string>

#include "tools/cli/exit_status.h"

namespace slipring::tools {

struct AbortRequest {
  std::string name;
  bool wait = false;                  // until the reader has dropped it
  std::string wait_seconds;           // at most so long
  std::string timeout_seconds = "2";  // for another command to be given
  bool json = false;
};

// All that is published when the command is given is dropped, nothing behind it.  Neither end has
// to be there: the command stays for whoever reads next.
ExitStatus abort_queued(const AbortRequest& request);

}  // namespace slipring::tools

// `slipring oob`: gives a running stage a command, out of band.
#pragma once

#include <string>
#include <vector>

#include "tools/cli/exit_status.h"

namespace slipring::tools {

struct OobRequest {
  std::string lane;                   // "settop.channel"
  std::vector<std::string> words;     // the command
  bool wait = false;                  // until the stage has taken it
  std::string wait_seconds;           // at most so long
  std::string timeout_seconds = "2";  // for the lane to become free
  bool json = false;
};

// The lane's writer is whoever runs this, one at a time.  A command whose stage is away stays in
// the lane for the stage's next life.
ExitStatus oob(const OobRequest& request);

}  // namespace slipring::tools

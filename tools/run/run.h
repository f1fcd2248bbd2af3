// `slipring run`: runs the pipeline that a file describes, or only checks it.
#pragma once

#include <string>
#include <vector>

#include "tools/cli/exit_status.h"

namespace slipring::tools {

struct RunRequest {
  std::string file;
  std::vector<std::string> overrides;  // "STAGE.OPTION=VALUE"
  bool check = false;                  // look at everything, start nothing
  bool quiet = false;                  // on stderr only what went wrong
  bool json = false;
};

// Everything that is wrong is said at once, as FILE:LINE: what; nothing is started then.
ExitStatus run_pipeline(const RunRequest& request);

}  // namespace slipring::tools

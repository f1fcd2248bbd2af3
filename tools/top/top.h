// `slipring top`: the links and their processes, drawn again and again.
#pragma once

#include <string>
#include <vector>

#include "tools/cli/exit_status.h"

namespace slipring::tools {

struct TopRequest {
  std::vector<std::string> names;  // segments, patterns, or pipelines; empty: all
  std::string interval = "1";      // seconds
  bool json = false;
};

// Where there is no terminal, or with `json`, what `stat -i` shows.  The terminal is left as it was
// found, however the program ends, unless it is by SIGKILL.
ExitStatus top(const TopRequest& request);

}  // namespace slipring::tools

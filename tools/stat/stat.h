// `slipring stat`: how full the links are, how fast they go, and what their processes use.
#pragma once

#include <string>
#include <vector>

#include "tools/cli/exit_status.h"

namespace slipring::tools {

struct StatRequest {
  std::vector<std::string> names;  // segments, patterns, or pipelines; empty: all
  std::string interval;            // seconds; not empty: again and again
  std::string count;               // so many times; empty: until Ctrl-C
  bool once = false;               // one look, without rates
  bool json = false;
};

// Attaches as an observer: nothing that it looks at notices.
ExitStatus stat(const StatRequest& request);

}  // namespace slipring::tools

// `slipring bench`: how this machine stands, in a few seconds, against what it would use instead.
#pragma once

#include <string>

#include "tools/bench/cell.h"
#include "tools/cli/exit_status.h"

namespace slipring::tools {

struct BenchRequest {
  std::string seconds;  // as typed; empty: kDefaultSeconds
  bool json = false;
  // One cell in this process, for the command's own children.
  std::string cell;
  std::string duration_ns;
  std::string cpus;
};

// kFailure when a message was lost, reordered or torn, or a contender stalled.
ExitStatus bench(const BenchRequest& request);

}  // namespace slipring::tools

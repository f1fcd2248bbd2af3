// `slipring verify`: whether segments are what they say they are.
#pragma once

#include <string>
#include <vector>

#include "tools/cli/exit_status.h"

namespace slipring::tools {

struct VerifyRequest {
  std::vector<std::string> names;  // segments, patterns, or pipelines; empty: all
  bool json = false;
};

// Changes nothing and holds up nobody: everything is mapped read-only, and ends may be at work.
// What a header says is checked first (magic, layout version, check sum, sizes, regions, the lock
// file that it names), then what lies in it (pipelines/link/link_audit.h; a board's entries).
// kFailure for a finding, kVersion for a segment of another layout, kPermission for one that cannot
// be read.
ExitStatus verify(const VerifyRequest& request);

}  // namespace slipring::tools

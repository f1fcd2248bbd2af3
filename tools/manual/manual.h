// `slipring man` and `slipring completion`: what the commands say about themselves, for others.
#pragma once

#include <span>
#include <string>

#include "tools/cli/exit_status.h"
#include "tools/help.h"

namespace slipring::tools {

struct ManRequest {
  std::string command;  // empty: the program's own page
  std::string out;      // a directory for all of the pages
  bool json = false;
};

ExitStatus man(const ManRequest& request, std::span<const CommandManual> manuals);

struct CompletionRequest {
  std::string shell;  // or "names": the segments there are, one a line
  bool json = false;
};

ExitStatus completion(const CompletionRequest& request, std::span<const CommandManual> manuals);

}  // namespace slipring::tools

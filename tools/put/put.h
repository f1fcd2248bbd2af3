// `slipring put`: standard input into a stream, as the writing end of a pipe with a name.
#pragma once

#include <string>

#include "tools/cli/exit_status.h"

namespace slipring::tools {

struct PutRequest {
  std::string name;
  std::string capacity = "1MiB";  // of a stream that is made
  bool stay = false;              // leave the stream open for the next writer
  bool json = false;
};

// Ends by SIGPIPE, quietly, when the reader has closed.
ExitStatus put(const PutRequest& request);

}  // namespace slipring::tools

// `slipring get`: a stream to standard output, as the reading end of a pipe with a name.
#pragma once

#include <string>

#include "tools/cli/exit_status.h"

namespace slipring::tools {

struct GetRequest {
  std::string name;
  std::string capacity = "1MiB";  // of a stream that is made
  bool stay = false;              // wait for the next writer when one has ended
  bool json = false;              // the report, on standard error
};

// Ends by SIGPIPE, quietly, when nobody reads standard output.
ExitStatus get(const GetRequest& request);

}  // namespace slipring::tools

// `slipring pipe`, `put` and `get`: bytes or messages from anywhere to anywhere, through links with
// names.
#pragma once

#include <string>
#include <string_view>

#include "tools/cli/exit_status.h"

namespace slipring::tools {

struct PipeRequest {
  std::string from;  // endpoints, as pipelines/adapter/endpoint.h has them
  std::string to;
  std::string capacity = "1MiB";  // of a link that is made
  bool lines = false;             // messages: a line each, where boundaries must be written
  bool frames = false;            // likewise: with a length before each
  std::string max_message = "1MiB";
  std::string count;          // get: so many messages and no more
  std::string wait_seconds;   // get: so long without a message, put: without room, and no longer
  bool no_wait = false;       // a lane set: nobody is waited for
  std::string mode = "0600";  // of a link that is made
  std::string group;          // likewise
  bool oldest = false;        // get: from the oldest message that a broadcast link holds
  bool stay = false;          // an end that dies or leaves is waited for, not followed
  bool json = false;          // the report: on standard error where the bytes take the output
};

// Ends by SIGPIPE, quietly, when nobody reads what it writes.  `command` is what complaints are
// made in the name of.
ExitStatus pipe(const PipeRequest& request, std::string_view command = "pipe");

}  // namespace slipring::tools

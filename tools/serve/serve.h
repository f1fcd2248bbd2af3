// `slipring serve`: links over HTTP, metrics, and a live page.
#pragma once

#include <string>

#include "tools/cli/exit_status.h"

namespace slipring::tools {

struct ServeRequest {
  std::string listen = "127.0.0.1:8080";  // HOST:PORT, PORT alone, or [V6]:PORT
  std::string token_file;
  std::string certificate_file;  // the three go together
  std::string key_file;
  std::string authority_file;
  bool plain = false;  // beyond this machine without TLS
  std::string body_max = "1MiB";
  std::string connections = "2048";
  std::string hold = "60";  // seconds
  bool json = false;
};

// Beyond a loopback address a token is asked for, and TLS unless `plain` says that somebody else
// sees to that.  Ends by the signal that stops it.
ExitStatus serve(const ServeRequest& request);

}  // namespace slipring::tools

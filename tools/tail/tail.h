// `slipring tail`: shows the messages of a link as they go by.
#pragma once

#include <string>

#include "tools/cli/exit_status.h"

namespace slipring::tools {

struct TailRequest {
  std::string name;
  std::string count;    // so many messages; empty: until the writer closes, or Ctrl-C
  bool unread = false;  // first those that the reader has not finished
  bool raw = false;     // the bytes alone
  bool hex = false;
  bool json = false;
};

// Takes nothing: it listens (pipelines/link/link_tap.h), and the ends do not notice.  What the
// writer went past is counted on standard error.
ExitStatus tail(const TailRequest& request);

}  // namespace slipring::tools

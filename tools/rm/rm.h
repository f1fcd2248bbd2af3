// `slipring rm`: removes segments that no living process uses.
#pragma once

#include <string>
#include <vector>

#include "tools/cli/exit_status.h"

namespace slipring::tools {

struct RemoveRequest {
  std::vector<std::string> names;  // or patterns
  bool stale = false;              // all that somebody used and nobody uses any more
  bool force = false;              // also what a living process holds
  bool json = false;
};

// A mailbox with mail that nobody has read is not stale: it stays, unless it is named, or `force`.
// The boards that the wire keeps beside a link go with it, and not before.
//
// Whoever is attached to a removed segment goes on with memory that nobody else can find.
// Removing takes every role first, so that nobody takes one in between.
ExitStatus remove(const RemoveRequest& request);

}  // namespace slipring::tools

// `slipring reap`: what dead processes have left behind.
#pragma once

#include "tools/cli/exit_status.h"

namespace slipring::tools {

struct ReapRequest {
  bool yes = false;      // remove; otherwise only list
  bool dry_run = false;  // the default, said aloud
  bool unread = false;   // also segments with messages that nobody has read
  bool json = false;
};

// Three kinds of leftovers, and what certifies that nobody uses them:
//   segment     somebody held a role, and the kernel says that nobody holds one now
//   rendezvous  a guarded segment's socket at which nobody listens
//   lock        a lock file without its segment, whose creator the kernel says is gone
// A segment with unread messages is kept for a successor unless `unread`.  What a living process
// holds, and what cannot be looked into, is never touched; certificates decide, no time-out does.
// kOk also when nothing is left behind.
ExitStatus reap(const ReapRequest& request);

}  // namespace slipring::tools

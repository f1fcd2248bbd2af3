// `slipring create --guarded`: the broker of a guarded lane set, as long as the command runs.
//
// No daemon is needed for anything else: a named set has no broker.  With the broker go its socket
// and the way for newcomers; senders and reader that are attached go on with what they have, and
// messages that nobody has read go with the last process that has their memory.
#pragma once

#include "pipelines/link/link_layout.h"
#include "platform/memory/segment_directory.h"
#include "platform/memory/segment_file.h"
#include "tools/cli/exit_status.h"
#include "tools/create/create.h"

namespace slipring::tools {

// Until SIGINT, SIGTERM or SIGHUP.  One lane a process; who may come is what the socket's mode and
// group allow.
ExitStatus serve_guarded(const SegmentDirectory& directory, const CreateRequest& request,
                         const LinkShape& shape, const SegmentOptions& options);

}  // namespace slipring::tools

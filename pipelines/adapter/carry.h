// Bytes from one descriptor to another: spliced within the kernel from a pipe or a file into a
// pipe; through a buffer elsewhere.  CARRY.md says why.
#pragma once

#include "core/error/result.h"
#include "pipelines/adapter/pump_options.h"

namespace slipring {

// Until the end of the input.  Requires: SIGPIPE is ignored.
// Errors: kSystem, kNoSpace, with the bytes moved so far in `found`.
Result<PumpReport> carry(int input, int output, const PumpOptions& options) noexcept;

}  // namespace slipring

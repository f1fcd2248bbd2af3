// Bytes from one descriptor to another: spliced within the kernel between two pipes, or a pipe and
// a file; through a buffer elsewhere.
#pragma once

#include "core/error/result.h"
#include "pipelines/adapter/pump_options.h"

namespace slipring {

// Until the end of the input.  Requires: SIGPIPE is ignored.
// Errors: kSystem, kNoSpace, with the bytes moved so far in `found`.
Result<PumpReport> carry(int input, int output, const PumpOptions& options) noexcept;

}  // namespace slipring

// Taking one directory out of this process's reach, for good.
#pragma once

#include "core/error/result.h"

namespace slipring {

// From here on neither this process nor its children can make, write to, rename or remove anything
// in the directory or below it, whatever their user may do (Landlock).  What is open stays open,
// and sockets there can be connected to.  Landlock knows only what is allowed: everything beside
// the directory and its ancestors is, as it lies there now, so that nothing can be made directly in
// an ancestor either.  Requires: privileges cannot be gained (platform/process/inspection.h).
// Errors: kUnsupported (Linux before 5.13, or switched off), kSystem; then nothing has changed.
Status close_directory(int directory_fd) noexcept;

}  // namespace slipring

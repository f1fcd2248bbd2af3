// Keeping other processes of our user out of this one.
#pragma once

#include "core/error/result.h"

namespace slipring {

// From here on only root (CAP_SYS_PTRACE) can attach a debugger to this process, read or write its
// memory, or take its descriptors through /proc; it leaves no core dump.  It ends with exec.
// Errors: kSystem.
Status forbid_inspection() noexcept;

}  // namespace slipring

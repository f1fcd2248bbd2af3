// Keeping other processes of our user out of this one.
#pragma once

#include "core/error/result.h"

namespace slipring {

// From here on only root (CAP_SYS_PTRACE) can attach a debugger to this process, read or write its
// memory, or take its descriptors through /proc; it leaves no core dump.  It ends with exec.
// Errors: kSystem.
Status forbid_inspection() noexcept;

// From here on neither this process nor its children gain privileges by executing a program: set-
// user-id bits and file capabilities count for nothing.  It does not end.  Errors: kSystem.
Status give_up_privilege_gains() noexcept;

}  // namespace slipring

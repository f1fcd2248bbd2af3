// What each system call can answer, the way this project calls it.
//
// The errors are those of the manual pages and of the kernel's source for valid arguments: EBADF,
// EFAULT and most EINVAL say that the caller is wrong, and no machine short of something gives
// them.  A call that the table does not know fails the test, so that the table stays complete.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/faults/tracer.h"

namespace slipring::faults {

struct CallRule {
  const char* name;               // with the variant: "fcntl(F_SETLK)"
  std::vector<int> errnos;        // empty: cannot fail
  bool is_interruptible = false;  // EINTR comes back only after nothing was done
  bool moves_bytes = false;       // may move fewer than asked for
  bool is_done_anyway = false;    // what it answers, it has done its work
};

// Null for a call that the table does not know.
[[nodiscard]] const CallRule* rule_of(const Call& call);

// "openat" or, where the kernel's number has no name here, the number.
[[nodiscard]] std::string name_of(const Call& call);

// "ENOSPC".
[[nodiscard]] std::string name_of_errno(int os_errno);

}  // namespace slipring::faults

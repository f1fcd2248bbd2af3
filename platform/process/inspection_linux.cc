#include "platform/process/inspection.h"

#include <sys/prctl.h>

#include <cerrno>

namespace slipring {

Status forbid_inspection() noexcept {
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0) return {};
  return Error{ErrorCode::kSystem, errno, "forbid others to inspect this process"};
}

Status give_up_privilege_gains() noexcept {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) return {};
  return Error{ErrorCode::kSystem, errno, "give up gaining privileges"};
}

}  // namespace slipring

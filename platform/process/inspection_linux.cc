#include "platform/process/inspection.h"

#include <sys/prctl.h>

#include <cerrno>

namespace slipring {

Status forbid_inspection() noexcept {
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0) return {};
  return Error{ErrorCode::kSystem, errno, "forbid others to inspect this process"};
}

}  // namespace slipring

#include "pipelines/stage/error_text.h"

#include <string.h>

namespace slipring {

std::string describe_error(const Error& error) {
  std::string text = name_of(error.code);
  if (error.doing != nullptr && *error.doing != '\0') text = text + ": " + error.doing;
  switch (error.code) {
    case ErrorCode::kBusy:
      return text + ": held by living process " + std::to_string(error.found) +
             "; stop that process first";
    case ErrorCode::kLockLimit:
      return text + ": the limit is " + std::to_string(error.found) + " bytes and " +
             std::to_string(error.wanted) +
             " are needed; raise it (ulimit -l, LimitMEMLOCK=, CAP_IPC_LOCK) or set memlock = "
             "\"try\"";
    case ErrorCode::kVersion:
      return text + ": found " + std::to_string(error.found) + ", this program knows " +
             std::to_string(error.wanted) + "; remove the segment with `slipring rm`";
    default:
      break;
  }
  if (error.os_errno != 0) text = text + ": " + strerror(error.os_errno);
  if (error.found != 0 || error.wanted != 0) {
    text +=
        " (found " + std::to_string(error.found) + ", wanted " + std::to_string(error.wanted) + ")";
  }
  return text;
}

std::string offender_text(pid_t process_id, uid_t user) {
  const std::string process =
      process_id != 0 ? "process " + std::to_string(process_id) : "a process not visible here";
  return process + " of user " + std::to_string(user);
}

std::string offender_text(const std::optional<LinkPeer>& offender) {
  if (!offender || !offender->is_known) return "a process that has ended";
  return offender_text(offender->process_id, offender->user);
}

}  // namespace slipring

// The exit status of every command, which scripts may rely on.
#pragma once

#include "core/error/error.h"

namespace slipring::tools {

enum class [[nodiscard]] ExitStatus : int{
    kOk = 0,
    kFailure = 1,     // something is wrong with what was looked at, or could not be done
    kUsage = 2,       // the command line or a pipeline file is wrong
    kNotFound = 3,    // no such segment, link, or file
    kWouldBlock = 4,  // a living process is in the way, or the deadline passed
    kVersion = 5,     // a segment of another layout version or ABI
    kPermission = 6,  // owner, mode, or capability forbids it
};

[[nodiscard]] constexpr ExitStatus exit_status_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return ExitStatus::kUsage;
    case ErrorCode::kNotFound:
      return ExitStatus::kNotFound;
    case ErrorCode::kVersion:
      return ExitStatus::kVersion;
    case ErrorCode::kPermission:
      return ExitStatus::kPermission;
    case ErrorCode::kExists:
    case ErrorCode::kBusy:
    case ErrorCode::kNoSpace:
    case ErrorCode::kLockLimit:
    case ErrorCode::kCorruptPeer:
    case ErrorCode::kUnsupported:
    case ErrorCode::kDamagedData:
    case ErrorCode::kInterrupted:
    case ErrorCode::kClosed:
    case ErrorCode::kSystem:
      break;
  }
  return ExitStatus::kFailure;
}

// Several things were done: the first one that failed names the status.
[[nodiscard]] constexpr ExitStatus first_failure(ExitStatus so_far, ExitStatus next) noexcept {
  return so_far == ExitStatus::kOk ? next : so_far;
}

}  // namespace slipring::tools

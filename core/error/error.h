// What went wrong with the operating system or with a peer, by value.
//
// Three kinds of trouble have three shapes in this project: back-pressure is an answer
// (core/ring/transfer.h), an operation that failed is an Error here, and a bug of our own stops the
// process (core/error/check.h).  An Error is trivially copyable and never allocates.
#pragma once

#include <cstdint>
#include <type_traits>

namespace slipring {

enum class ErrorCode : std::uint8_t {
  kInvalidArgument,  // the caller asked for something that cannot be
  kNotFound,         // no such segment, stage, or link
  kExists,           // the name is taken
  kBusy,             // a living participant holds the role
  kPermission,       // owner, mode, or capability forbids it
  kNoSpace,          // the file system or the address space is full
  kLockLimit,        // RLIMIT_MEMLOCK is too small
  kVersion,          // a segment of another layout version or another ABI
  kCorruptPeer,      // shared memory holds a value that no correct peer writes
  kUnsupported,      // this kernel or processor cannot do it
  kDamagedData,      // a stream from outside is broken, and no peer of ours is to blame
  kInterrupted,      // a stop was asked for while waiting
  kClosed,           // the other end has finished for good
  kSystem,           // a system call failed; os_errno says how
};

// The code's name as tools print it: "not found", "busy", …
[[nodiscard]] constexpr const char* name_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid argument";
    case ErrorCode::kNotFound:
      return "not found";
    case ErrorCode::kExists:
      return "already exists";
    case ErrorCode::kBusy:
      return "busy";
    case ErrorCode::kPermission:
      return "permission denied";
    case ErrorCode::kNoSpace:
      return "no space";
    case ErrorCode::kLockLimit:
      return "memory-lock limit too small";
    case ErrorCode::kVersion:
      return "version mismatch";
    case ErrorCode::kCorruptPeer:
      return "corrupt peer";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kDamagedData:
      return "damaged data";
    case ErrorCode::kInterrupted:
      return "interrupted";
    case ErrorCode::kClosed:
      return "closed";
    case ErrorCode::kSystem:
      return "system error";
  }
  return "unknown error";
}

struct Error {
  ErrorCode code = ErrorCode::kSystem;
  std::int32_t os_errno = 0;  // 0 where no system call failed
  const char* doing = "";     // what was being done; a string literal
  std::uint64_t found = 0;    // the offending value, where one number says it
  std::uint64_t wanted = 0;   // the bound or the need beside it
};
static_assert(std::is_trivially_copyable_v<Error>);

}  // namespace slipring

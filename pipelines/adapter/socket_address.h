// Where a host and port are, and what a failed socket call means.
#pragma once

#include <errno.h>
#include <netdb.h>

#include <memory>

#include "core/error/result.h"
#include "pipelines/adapter/endpoint.h"

namespace slipring {

// What errno says now.
[[nodiscard]] inline Error socket_failed(const char* doing) noexcept {
  const int fault = errno;
  ErrorCode code = ErrorCode::kSystem;
  if (fault == ENOENT || fault == ECONNREFUSED || fault == ENODEV) code = ErrorCode::kNotFound;
  if (fault == EACCES || fault == EPERM) code = ErrorCode::kPermission;
  if (fault == EISDIR) code = ErrorCode::kInvalidArgument;
  if (fault == ENOSPC) code = ErrorCode::kNoSpace;
  if (fault == EADDRINUSE) code = ErrorCode::kExists;
  return {code, fault, doing, 0, 0};
}

using AddressList = std::unique_ptr<addrinfo, void (*)(addrinfo*)>;

// For sockets of `type`; `flags` as of getaddrinfo().  Errors: kNotFound (no such host).
inline Result<AddressList> find_addresses(const Endpoint& endpoint, int type, int flags) noexcept {
  addrinfo hints{};
  hints.ai_socktype = type;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  if (getaddrinfo(endpoint.host.c_str(), endpoint.port.c_str(), &hints, &found) != 0) {
    return Error{ErrorCode::kNotFound, 0, "no such host", 0, 0};
  }
  return AddressList(found, freeaddrinfo);
}

}  // namespace slipring

// Calls between processes: what a caller and a server say to each other, and through which links.
//
// Links.  A service NAME is a lane set NAME for requests, a lane a caller; a lane set NAME.cancel
// beside it, which the server looks at before each request, so that a cancellation passes by what
// is queued; and a record link NAME.reply.N for the caller that has lane N.
//
// Messages, little-endian.  A request is an RpcRequest and the caller's bytes, a reply an RpcReply
// and the server's, a cancellation a call's number.  All of them are input to whoever reads them.
//
// Numbers.  A call's number is {lane:8, incarnation of the lane's writer:24, count:32}: no call of
// a service has the number of another, so that a reply that comes too late, to a caller that has
// given up or to its successor in the lane, is recognised, dropped, and counted.
//
// A guarded service (guarded_service.h) is the same with guarded links.
//
// Deaths.  A call ends with an error as soon as its server dies, and not by a time-out.  The error
// says whether the call may have been executed: the dead server's cursor, which only it could
// write, says which requests it had looked at.  Those it had not are withdrawn (abort), and as long
// as no successor has come by then, none ever executes them.  A successor finds what its
// predecessor had taken marked as redelivered, and answers "may have been executed" instead of
// executing it again, unless it was told that this does no harm.  Calls of a dead caller are
// dropped; its lane is then free.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/error/result.h"
#include "platform/memory/segment_directory.h"
#include "platform/memory/segment_file.h"

namespace slipring {

enum class RpcStatus : std::uint32_t {
  kOk = 0,
  kFailed = 1,         // the server says so; its bytes say more
  kMaybeExecuted = 2,  // a server died while it had the call, or perhaps had it
  // Never in a reply; what a caller finds by itself:
  kNotExecuted = 3,  // the server died before it had looked at the call
  kDeadline = 4,     // passed; the call may have been executed
  kCancelled = 5,    // by the caller; the call may have been executed
};
[[nodiscard]] const char* name_of(RpcStatus status) noexcept;

struct RpcRequest {
  std::uint64_t call;
  std::uint64_t deadline_ns;  // CLOCK_MONOTONIC; UINT64_MAX: none
};
struct RpcReply {
  std::uint64_t call;
  std::uint32_t status;  // an RpcStatus
  std::uint32_t reserved;
};
static_assert(sizeof(RpcRequest) == 16);
static_assert(sizeof(RpcReply) == 16);

// The header at the front of a message; nothing when it is too short.
template <typename Header>
[[nodiscard]] std::optional<Header> rpc_header(std::span<const std::byte> message) noexcept {
  if (message.size() < sizeof(Header)) return std::nullopt;
  Header header;
  std::memcpy(&header, message.data(), sizeof header);
  return header;
}

// Of one caller, at a time; no two of them have numbers that are equal modulo this.
inline constexpr std::uint32_t kMaxPendingCalls = 256;

[[nodiscard]] constexpr std::uint64_t call_number(std::uint32_t lane, std::uint32_t incarnation,
                                                  std::uint32_t count) noexcept {
  return std::uint64_t{lane} << 56 | (std::uint64_t{incarnation} & 0xff'ffff) << 32 | count;
}

struct RpcShape {
  std::uint32_t caller_count = 16;      // at a time, 1 to kMaxSetLanes
  std::uint64_t request_bytes = 65536;  // of a caller's lane, a power of two
  std::uint64_t reply_bytes = 65536;    // of a caller's replies, a power of two
};

// Of a lane of cancellations: numbers of calls, a few words each.
inline constexpr std::uint64_t kCancelBytes = 4096;

[[nodiscard]] std::string cancel_name(std::string_view service);
[[nodiscard]] std::string reply_name(std::string_view service, std::uint32_t lane);

// Makes a service's links, the request lanes last: who finds those finds all.  What exists already
// stays as it is.  Errors: as create_link(); kExists when the service was there.
Status create_service(const SegmentDirectory& directory, std::string_view name,
                      const RpcShape& shape = {}, const SegmentOptions& options = {}) noexcept;

}  // namespace slipring

// Where bytes come from or go to, as `slipring pipe` names it.
//
//   -                     standard input or output
//   PATH, file:PATH       a file, a FIFO, a device
//   ring:NAME             a stream link, made if there is none
//   tcp://HOST:PORT       connects; with ?listen it waits there for one connection instead
//   unix://PATH           the same for a unix stream socket
//
// An empty HOST is this machine alone (127.0.0.1): a server is open to others only where somebody
// wrote their address down.  A unix socket that we listen on has mode 0600 and goes when the
// connection is there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/error/result.h"
#include "platform/process/descriptor.h"

namespace slipring {

struct Endpoint {
  enum class Kind : std::uint8_t { kStandard, kFile, kRing, kTcp, kUnix };
  Kind kind = Kind::kStandard;
  std::string path;  // kFile, kUnix; kRing: the link's name
  std::string host;  // kTcp
  std::string port;  // kTcp, a number from 1 to 65535
  bool listens = false;
};

// Nothing, with `fault` saying what is wrong, for what is no endpoint.
[[nodiscard]] std::optional<Endpoint> parse_endpoint(std::string_view text, std::string& fault);

// Whether what is read there comes in messages by itself.
[[nodiscard]] constexpr bool keeps_boundaries(const Endpoint&) noexcept {
  return false;
}

enum class Direction : std::uint8_t { kSource, kSink };

// Opens what is not a ring.  Waits for the other side of a FIFO, or for the connection.  Standard
// input and output are duplicated.
// Errors: kNotFound, kPermission, kNoSpace, kInvalidArgument (no such host), kExists (a socket of
// that path exists), kSystem.
Result<Descriptor> open_endpoint(const Endpoint& endpoint, Direction direction) noexcept;

}  // namespace slipring

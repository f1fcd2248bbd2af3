// Where a link on another machine is found, as programs and pipeline files name it.
//
//   tcp://HOST:PORT/NAME       a link called NAME, behind a wire at HOST
//   tcp+tls://HOST:PORT/NAME   the same, encrypted, with certificates on both sides
//   unix://PATH#NAME           behind a unix stream socket of this machine
//
// tcp+tls:// needs ?ca=FILE&cert=FILE&key=FILE behind it: whom we believe, and who we are, in PEM;
// with &name=NAME the other side's certificate has to be made out to NAME, without it a server's to
// HOST, and a client's to anybody.
// Where the link is named otherwise the name, and what is before it, may be left out.  An empty
// HOST is this machine alone (127.0.0.1): a server is open to others only where somebody wrote
// their address down.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/error/result.h"
#include "pipelines/adapter/tls_channel.h"
#include "platform/process/descriptor.h"

namespace slipring::wire {

struct WireAddress {
  enum class Kind : std::uint8_t { kTcp, kTls, kUnix };
  Kind kind = Kind::kTcp;
  std::string host;      // kTcp, kTls
  std::string port;      // kTcp, kTls: a number from 0 to 65535; 0 lets a server choose
  std::string path;      // kUnix
  std::string link;      // may be empty
  TlsCredentials tls;    // kTls
  std::string tls_name;  // kTls; may be empty
};

// Whether `text` is meant as an address, and not as the name of a link of this machine.
[[nodiscard]] bool is_wire_address(std::string_view text) noexcept;

// Nothing, with `fault` saying what is wrong.
[[nodiscard]] std::optional<WireAddress> parse_wire_address(std::string_view text,
                                                            std::string& fault);

// A listening socket that never blocks; a unix socket has mode 0600, and a name that nobody listens
// at any more is taken over.
// Errors: kInvalidArgument (no such host; a path too long), kExists (somebody listens there),
// kPermission, kSystem.
Result<Descriptor> listen_at(const WireAddress& address) noexcept;

// The port that a TCP listener has; 0 for another socket.
[[nodiscard]] std::uint16_t port_of(const Descriptor& listener) noexcept;

// Who is at the other end, for people: "10.0.0.2:41234", "process 4711 of user 1000", or nothing.
[[nodiscard]] std::string peer_name_of(const Descriptor& socket);

// A socket that is connecting, or connected, and never blocks.  Finding a host by name may take as
// long as the resolver does.
// Errors: kInvalidArgument, kNotFound (nobody listens there), kPermission, kSystem.
Result<Descriptor> begin_connecting(const WireAddress& address) noexcept;

// How the connecting has ended, once the socket can be written: 0, or an errno.
[[nodiscard]] int connecting_error(const Descriptor& socket) noexcept;

// Small frames go at once, little waits in the socket, and a peer that acknowledges nothing for so
// long is given up by the kernel.  Where it is no TCP socket nothing happens.
void tune_for_wire(const Descriptor& socket, std::uint64_t silence_ns) noexcept;

}  // namespace slipring::wire

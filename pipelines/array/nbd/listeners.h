// Where clients come in: a unix socket, a TCP port, or both.
//
// A listening socket is kept in the stage's descriptor store, which accepts on it, so that clients
// can connect while nobody serves them.
#pragma once

#include <string>
#include <string_view>

#include "core/error/result.h"
#include "platform/process/descriptor.h"

namespace slipring::array {

// Of mode 0600.  A socket file that nobody listens on any more is replaced.  Errors: kBusy
// (somebody listens there), kInvalidArgument (no path for a socket), kPermission, kSystem.
[[nodiscard]] Result<Descriptor> listen_on_unix(const std::string& path) noexcept;

// HOST:PORT, numbers only, [::1]:10809 for IPv6; port 0 takes a free one.  Errors as above.
[[nodiscard]] Result<Descriptor> listen_on_tcp(std::string_view address) noexcept;

// Of a bound TCP socket; 0 when it is none.
[[nodiscard]] std::uint16_t port_of(int socket) noexcept;

// Whose a TCP connection is: the other side's address, of IPv6 the half that names a network. Empty
// for what is no TCP connection.
[[nodiscard]] std::string address_of(int socket);

// What a connection's socket is set to: small replies are not held back, and a peer that has
// vanished is found out within half a minute.  Nothing for what is no TCP socket.
void set_up_client_socket(int socket) noexcept;

}  // namespace slipring::array

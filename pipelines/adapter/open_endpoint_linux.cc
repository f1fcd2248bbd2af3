#include "pipelines/adapter/open_endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <utility>

#include "pipelines/adapter/socket_address.h"

namespace slipring {
namespace {

using Kind = Endpoint::Kind;
using StopFlag = const std::atomic<bool>*;

constexpr int kLookAtStopMs = 100;  // for a stop that came just before a sleep
constexpr Error kStopped{ErrorCode::kInterrupted, EINTR, "wait for the other side"};

bool is_stopped(StopFlag stop) noexcept {
  // relaxed: nothing else is published with it.
  return stop != nullptr && stop->load(std::memory_order_relaxed);
}

Result<Descriptor> open_file(const std::string& path, Direction direction, StopFlag stop) noexcept {
  const int flags = direction == Direction::kSource ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC;
  int fd = -1;
  do {  // the opening of a FIFO waits, and a signal may end the wait
    if (is_stopped(stop)) return kStopped;
    fd = open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY, 0666);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return socket_failed("open the file");
  struct stat found {};
  if (fstat(fd, &found) == 0 && S_ISDIR(found.st_mode)) {
    close(fd);
    errno = EISDIR;
    return socket_failed("open the file");
  }
  return Descriptor(fd);
}

Result<Descriptor> accept_one(const Descriptor& listener, StopFlag stop) noexcept {
  if (fcntl(listener.get(), F_SETFL, O_NONBLOCK) != 0) return socket_failed("await a connection");
  int fd = -1;
  do {
    if (is_stopped(stop)) return kStopped;
    pollfd waiting{listener.get(), POLLIN, 0};
    // Whatever it answers, the next call says more.
    static_cast<void>(poll(&waiting, 1, kLookAtStopMs));
    fd = accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC);
  } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EAGAIN));
  if (fd < 0) return socket_failed("accept a connection");
  return Descriptor(fd);
}

// A connect that a signal interrupts goes on by itself; asking again tells how it ended.
bool is_connected(int fd, const sockaddr* address, socklen_t size, StopFlag stop) noexcept {
  int answer = 0;
  do {
    answer = connect(fd, address, size);
  } while (answer != 0 && (errno == EINTR || errno == EALREADY) && !is_stopped(stop));
  return answer == 0 || errno == EISCONN;
}

Result<Descriptor> connect_tcp(const Endpoint& endpoint, StopFlag stop) noexcept {
  Result<AddressList> found = find_addresses(endpoint, SOCK_STREAM, 0);
  if (!found) return found.error();
  Error last{ErrorCode::kNotFound, 0, "find the host", 0, 0};
  for (const addrinfo* at = found->get(); at != nullptr; at = at->ai_next) {
    Descriptor fd(socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (fd.is_open() && is_connected(fd.get(), at->ai_addr, at->ai_addrlen, stop)) return fd;
    if (is_stopped(stop)) return kStopped;
    last = socket_failed(fd.is_open() ? "connect" : "make a socket");
  }
  return last;
}

Result<Descriptor> listen_tcp(const Endpoint& endpoint, int backlog) noexcept {
  Result<AddressList> found = find_addresses(endpoint, SOCK_STREAM, AI_PASSIVE);
  if (!found) return found.error();
  Error last{ErrorCode::kNotFound, 0, "find the host", 0, 0};
  for (const addrinfo* at = found->get(); at != nullptr; at = at->ai_next) {
    Descriptor fd(socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd.is_open()) {
      last = socket_failed("make a socket");
      continue;
    }
    const int on = 1;
    static_cast<void>(setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
    if (bind(fd.get(), at->ai_addr, at->ai_addrlen) == 0 && listen(fd.get(), backlog) == 0) {
      return fd;
    }
    last = socket_failed("listen at the address");
  }
  return last;
}

int unix_type(const Endpoint& endpoint) noexcept {
  return endpoint.kind == Kind::kUnixPackets ? SOCK_SEQPACKET : SOCK_STREAM;
}

Result<sockaddr_un> unix_address(const Endpoint& endpoint) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (endpoint.path.size() >= sizeof address.sun_path) {
    return Error{ErrorCode::kInvalidArgument, 0, "name a socket by a path of at most 107 bytes",
                 endpoint.path.size(), sizeof address.sun_path - 1};
  }
  std::memcpy(address.sun_path, endpoint.path.c_str(), endpoint.path.size() + 1);
  return address;
}

Result<Descriptor> connect_unix(const Endpoint& endpoint, StopFlag stop) noexcept {
  Result<sockaddr_un> address = unix_address(endpoint);
  if (!address) return address.error();
  Descriptor fd(socket(AF_UNIX, unix_type(endpoint) | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) return socket_failed("make a socket");
  const auto* generic = reinterpret_cast<const sockaddr*>(&*address);
  if (is_connected(fd.get(), generic, sizeof *address, stop)) return fd;
  if (is_stopped(stop)) return kStopped;
  return socket_failed("connect");
}

// Ours alone from its first moment.
bool is_bound(int fd, const sockaddr_un& address) noexcept {
  const mode_t before = umask(0177);
  const bool bound = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const int fault = errno;
  umask(before);
  errno = fault;
  return bound;
}

// A name at which no socket listens: its owner has died.  Not of a file that is no socket.
bool is_left_over(const sockaddr_un& address) noexcept {
  struct stat found {};
  if (lstat(address.sun_path, &found) != 0 || !S_ISSOCK(found.st_mode)) return false;
  const Descriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return probe.is_open() &&
         connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
         errno == ECONNREFUSED;
}

Result<Descriptor> listen_unix(const Endpoint& endpoint, int backlog) noexcept {
  Result<sockaddr_un> address = unix_address(endpoint);
  if (!address) return address.error();
  Descriptor fd(socket(AF_UNIX, unix_type(endpoint) | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) return socket_failed("make a socket");
  // Before it has a name, so that it is never open to others.
  if (fchmod(fd.get(), 0600) != 0) return socket_failed("make the socket ours alone");
  bool bound = is_bound(fd.get(), *address);
  if (!bound && errno == EADDRINUSE) {
    if (is_left_over(*address)) unlink(address->sun_path);
    bound = is_bound(fd.get(), *address);
  }
  if (!bound || listen(fd.get(), backlog) != 0) return socket_failed("listen at the address");
  return fd;
}

Result<Descriptor> open_connection(const Endpoint& endpoint, StopFlag stop) noexcept {
  const bool is_unix = endpoint.kind == Kind::kUnix || endpoint.kind == Kind::kUnixPackets;
  if (!endpoint.listens)
    return is_unix ? connect_unix(endpoint, stop) : connect_tcp(endpoint, stop);
  Result<Descriptor> listener = listen_at(endpoint, 1);
  if (!listener) return listener.error();
  Result<Descriptor> connection = accept_one(*listener, stop);
  if (is_unix) unlink(endpoint.path.c_str());
  return connection;
}

Result<Descriptor> open_standard(Direction direction) noexcept {
  const int standard = direction == Direction::kSource ? STDIN_FILENO : STDOUT_FILENO;
  Descriptor copy(fcntl(standard, F_DUPFD_CLOEXEC, 3));
  if (!copy.is_open()) return socket_failed("duplicate standard input or output");
  return copy;
}

}  // namespace

Result<Descriptor> listen_at(const Endpoint& endpoint, int backlog) noexcept {
  const bool is_unix = endpoint.kind == Kind::kUnix || endpoint.kind == Kind::kUnixPackets;
  return is_unix ? listen_unix(endpoint, backlog) : listen_tcp(endpoint, backlog);
}

Result<Descriptor> open_endpoint(const Endpoint& endpoint, Direction direction,
                                 StopFlag stop) noexcept {
  switch (endpoint.kind) {
    case Kind::kFile:
      return open_file(endpoint.path, direction, stop);
    case Kind::kTcp:
    case Kind::kTls:
    case Kind::kUnix:
    case Kind::kUnixPackets:
      return open_connection(endpoint, stop);
    case Kind::kUdp:
      return open_udp(endpoint, direction);
    case Kind::kStandard:
    case Kind::kRing:
    case Kind::kTopic:
    case Kind::kMailbox:
      break;
  }
  return open_standard(direction);
}

}  // namespace slipring

#include "pipelines/adapter/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <memory>

namespace slipring {
namespace {

constexpr std::string_view kTcp = "tcp://";
constexpr std::string_view kUnix = "unix://";
constexpr std::string_view kRing = "ring:";
constexpr std::string_view kFile = "file:";
constexpr std::string_view kListen = "?listen";
constexpr const char* kThisMachine = "127.0.0.1";

bool is_port(std::string_view text) noexcept {
  std::uint16_t port = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), port);
  return fault == std::errc{} && end == text.data() + text.size() && port != 0;
}

std::optional<Endpoint> parse_tcp(std::string_view text, Endpoint endpoint, std::string& fault) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || !is_port(text.substr(colon + 1))) {
    fault = "write tcp://HOST:PORT, with a port from 1 to 65535";
    return std::nullopt;
  }
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  endpoint.kind = Endpoint::Kind::kTcp;
  endpoint.host = host.empty() ? kThisMachine : std::string(host);
  endpoint.port = text.substr(colon + 1);
  return endpoint;
}

std::optional<Endpoint> with_path(Endpoint endpoint, Endpoint::Kind kind, std::string_view path,
                                  std::string& fault) {
  if (path.empty()) {
    fault = "the name is missing";
    return std::nullopt;
  }
  endpoint.kind = kind;
  endpoint.path = path;
  return endpoint;
}

Error failed(const char* doing) noexcept {
  const int fault = errno;
  ErrorCode code = ErrorCode::kSystem;
  if (fault == ENOENT || fault == ECONNREFUSED) code = ErrorCode::kNotFound;
  if (fault == EACCES || fault == EPERM || fault == EISDIR) code = ErrorCode::kPermission;
  if (fault == ENOSPC) code = ErrorCode::kNoSpace;
  if (fault == EADDRINUSE) code = ErrorCode::kExists;
  return {code, fault, doing, 0, 0};
}

Result<Descriptor> open_file(const std::string& path, Direction direction) noexcept {
  const int flags = direction == Direction::kSource ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC;
  int fd = -1;
  do {  // the opening of a FIFO waits, and a signal may end the wait
    fd = open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY, 0666);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return failed("open the file");
  return Descriptor(fd);
}

Result<Descriptor> accept_one(const Descriptor& listener) noexcept {
  int fd = -1;
  do {
    fd = accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC);
  } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
  if (fd < 0) return failed("accept a connection");
  return Descriptor(fd);
}

// A connect that a signal interrupts goes on by itself; asking again tells how it ended.
bool is_connected(int fd, const sockaddr* address, socklen_t size) noexcept {
  int answer = 0;
  do {
    answer = connect(fd, address, size);
  } while (answer != 0 && (errno == EINTR || errno == EALREADY));
  return answer == 0 || errno == EISCONN;
}

Result<Descriptor> open_tcp(const Endpoint& endpoint) noexcept {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = endpoint.listens ? AI_PASSIVE : 0;
  addrinfo* found = nullptr;
  if (getaddrinfo(endpoint.host.c_str(), endpoint.port.c_str(), &hints, &found) != 0) {
    return Error{ErrorCode::kInvalidArgument, 0, "find the host", 0, 0};
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, freeaddrinfo);
  Error last{ErrorCode::kNotFound, 0, "find the host", 0, 0};
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    Descriptor fd(socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd.is_open()) {
      last = failed("make a socket");
      continue;
    }
    if (!endpoint.listens) {
      if (is_connected(fd.get(), at->ai_addr, at->ai_addrlen)) return fd;
      last = failed("connect");
      continue;
    }
    const int on = 1;
    static_cast<void>(setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
    if (bind(fd.get(), at->ai_addr, at->ai_addrlen) == 0 && listen(fd.get(), 1) == 0) {
      return accept_one(fd);
    }
    last = failed("listen at the address");
  }
  return last;
}

Result<Descriptor> open_unix(const Endpoint& endpoint) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (endpoint.path.size() >= sizeof address.sun_path) {
    return Error{ErrorCode::kInvalidArgument, 0, "name a socket by a path of at most 107 bytes",
                 endpoint.path.size(), sizeof address.sun_path - 1};
  }
  std::memcpy(address.sun_path, endpoint.path.c_str(), endpoint.path.size() + 1);
  Descriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) return failed("make a socket");
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (!endpoint.listens) {
    if (is_connected(fd.get(), generic, sizeof address)) return fd;
    return failed("connect");
  }
  // Before it has a name, so that it is never open to others.
  if (fchmod(fd.get(), 0600) != 0) return failed("make the socket ours alone");
  const mode_t before = umask(0177);
  const bool bound = bind(fd.get(), generic, sizeof address) == 0;
  const int fault = errno;
  umask(before);
  errno = fault;
  if (!bound || listen(fd.get(), 1) != 0) return failed("listen at the address");
  Result<Descriptor> connection = accept_one(fd);
  unlink(endpoint.path.c_str());
  return connection;
}

}  // namespace

std::optional<Endpoint> parse_endpoint(std::string_view text, std::string& fault) {
  Endpoint endpoint;
  if (text == "-") return endpoint;
  const bool is_socket = text.starts_with(kTcp) || text.starts_with(kUnix);
  if (is_socket && text.ends_with(kListen)) {
    endpoint.listens = true;
    text.remove_suffix(kListen.size());
  }
  if (text.starts_with(kTcp)) return parse_tcp(text.substr(kTcp.size()), endpoint, fault);
  if (text.starts_with(kUnix)) {
    return with_path(endpoint, Endpoint::Kind::kUnix, text.substr(kUnix.size()), fault);
  }
  if (text.starts_with(kRing)) {
    return with_path(endpoint, Endpoint::Kind::kRing, text.substr(kRing.size()), fault);
  }
  if (text.starts_with(kFile)) {
    return with_path(endpoint, Endpoint::Kind::kFile, text.substr(kFile.size()), fault);
  }
  if (text.find("://") != std::string_view::npos) {
    fault = "only tcp:// and unix:// are known";
    return std::nullopt;
  }
  return with_path(endpoint, Endpoint::Kind::kFile, text, fault);
}

Result<Descriptor> open_endpoint(const Endpoint& endpoint, Direction direction) noexcept {
  switch (endpoint.kind) {
    case Endpoint::Kind::kFile:
      return open_file(endpoint.path, direction);
    case Endpoint::Kind::kTcp:
      return open_tcp(endpoint);
    case Endpoint::Kind::kUnix:
      return open_unix(endpoint);
    case Endpoint::Kind::kStandard:
    case Endpoint::Kind::kRing:
      break;
  }
  const int standard = direction == Direction::kSource ? STDIN_FILENO : STDOUT_FILENO;
  Descriptor copy(fcntl(standard, F_DUPFD_CLOEXEC, 3));
  if (!copy.is_open()) return failed("duplicate standard input or output");
  return copy;
}

}  // namespace slipring

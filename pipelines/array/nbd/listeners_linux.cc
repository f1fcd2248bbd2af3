#include "pipelines/array/nbd/listeners.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstring>

namespace slipring::array {
namespace {

constexpr int kBacklog = 64;
constexpr unsigned kUserTimeoutMs = 30'000;
// A megabyte of answers goes in without waiting for the client: the default takes a fifth of it.
constexpr int kUnixSendBytes = 1 << 20;

Error failed(const char* doing) noexcept {
  const ErrorCode code = errno == EADDRINUSE                 ? ErrorCode::kBusy
                         : errno == EACCES || errno == EPERM ? ErrorCode::kPermission
                                                             : ErrorCode::kSystem;
  return {code, errno, doing};
}

// Whether a socket file is left over: connecting to it is refused.
bool is_stale(const sockaddr_un& address) noexcept {
  const Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.is_open()) return false;
  return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
         errno == ECONNREFUSED;
}

Result<Descriptor> listening(Descriptor socket) noexcept {
  if (::listen(socket.get(), kBacklog) != 0) return failed("listen for clients");
  return socket;
}

struct TcpAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

// False for what is no address.
bool parse_address(std::string_view text, TcpAddress& address) noexcept {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  const std::string_view digits = text.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (fault != std::errc{} || end != digits.data() + digits.size()) return false;
  std::string host(text.substr(0, colon));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    auto& six = *reinterpret_cast<sockaddr_in6*>(&address.storage);
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(port);
    address.size = sizeof six;
    return ::inet_pton(AF_INET6, host.c_str(), &six.sin6_addr) == 1;
  }
  auto& four = *reinterpret_cast<sockaddr_in*>(&address.storage);
  four.sin_family = AF_INET;
  four.sin_port = htons(port);
  address.size = sizeof four;
  return ::inet_pton(AF_INET, host.c_str(), &four.sin_addr) == 1;
}

}  // namespace

Result<Descriptor> listen_on_unix(const std::string& path) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return Error{ErrorCode::kInvalidArgument, 0, "a unix socket's path has 1 to 107 bytes",
                 path.size(), sizeof address.sun_path - 1};
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) return failed("make a unix socket");
  const mode_t before = ::umask(0177);
  int bound = ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (bound != 0 && errno == EADDRINUSE && is_stale(address)) {
    ::unlink(address.sun_path);
    bound = ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  const int bind_errno = errno;
  ::umask(before);
  errno = bind_errno;
  if (bound != 0) return failed("bind a unix socket");
  return listening(std::move(socket));
}

Result<Descriptor> listen_on_tcp(std::string_view text) noexcept {
  TcpAddress address;
  if (!parse_address(text, address)) {
    return Error{ErrorCode::kInvalidArgument, 0, "not HOST:PORT in numbers"};
  }
  Descriptor socket(
      ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) return failed("make a TCP socket");
  const int yes = 1;
  // Best effort: without it a port is merely busy for a minute after a run.
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size) !=
      0) {
    return failed("bind a TCP socket");
  }
  return listening(std::move(socket));
}

std::uint16_t port_of(int socket) noexcept {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return 0;
  if (storage.ss_family == AF_INET) {
    return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
  }
  if (storage.ss_family == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port);
  }
  return 0;
}

std::string address_of(int socket) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  if (storage.ss_family == AF_INET) {
    const auto& four = reinterpret_cast<const sockaddr_in&>(storage);
    return {reinterpret_cast<const char*>(&four.sin_addr), sizeof four.sin_addr};
  }
  if (storage.ss_family != AF_INET6) return {};
  const auto& six = reinterpret_cast<const sockaddr_in6&>(storage);
  const char* bytes = reinterpret_cast<const char*>(&six.sin6_addr);
  const std::size_t whole = sizeof six.sin6_addr;
  return IN6_IS_ADDR_V4MAPPED(&six.sin6_addr) ? std::string(bytes + whole - 4, 4)
                                              : std::string(bytes, whole / 2);
}

void set_up_client_socket(int socket) noexcept {
  // Each is refused by a unix socket, which needs none of them.
  const int yes = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  ::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
  ::setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUserTimeoutMs, sizeof kUserTimeoutMs);
  const int idle_s = 10;
  ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  // TCP finds its own size as long as nobody sets one.  The kernel's limit (wmem_max) cuts it.
  int family = 0;
  socklen_t size = sizeof family;
  const bool is_unix =
      ::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0 && family == AF_UNIX;
  if (is_unix) ::setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &kUnixSendBytes, sizeof kUnixSendBytes);
}

}  // namespace slipring::array

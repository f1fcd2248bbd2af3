#include "pipelines/wire/wire_address.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <memory>

namespace slipring::wire {
namespace {

constexpr std::string_view kTcp = "tcp://";
constexpr std::string_view kTls = "tcp+tls://";
constexpr std::string_view kUnix = "unix://";
constexpr const char* kThisMachine = "127.0.0.1";
constexpr int kBacklog = 1024;
constexpr int kUnsentBytesMax = 128 * 1024;
constexpr int kStreamSocket = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;

bool is_port(std::string_view text) noexcept {
  std::uint16_t port = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), port);
  return fault == std::errc{} && end == text.data() + text.size();
}

Error failed(const char* doing) noexcept {
  const int fault = errno;
  ErrorCode code = ErrorCode::kSystem;
  if (fault == ENOENT || fault == ECONNREFUSED) code = ErrorCode::kNotFound;
  if (fault == EACCES || fault == EPERM) code = ErrorCode::kPermission;
  if (fault == EADDRINUSE) code = ErrorCode::kExists;
  return {code, fault, doing};
}

using Addresses = std::unique_ptr<addrinfo, void (*)(addrinfo*)>;

Addresses find_host(const WireAddress& address, bool listens) noexcept {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (listens ? AI_PASSIVE : 0);
  addrinfo* found = nullptr;
  const char* host = address.host.empty() ? kThisMachine : address.host.c_str();
  if (getaddrinfo(host, address.port.c_str(), &hints, &found) != 0) found = nullptr;
  return {found, [](addrinfo* all) {
            if (all != nullptr) freeaddrinfo(all);
          }};
}
constexpr Error kNoSuchHost{ErrorCode::kInvalidArgument, 0, "find the host"};

Result<sockaddr_un> unix_address(const WireAddress& address) noexcept {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (address.path.size() >= sizeof name.sun_path) {
    return Error{ErrorCode::kInvalidArgument, 0, "name a socket by a path of at most 107 bytes",
                 address.path.size(), sizeof name.sun_path - 1};
  }
  std::memcpy(name.sun_path, address.path.c_str(), address.path.size() + 1);
  return name;
}

const sockaddr* generic(const sockaddr_un& name) noexcept {
  return reinterpret_cast<const sockaddr*>(&name);
}

// A name in the file system that no socket listens at: its owner has died.
bool is_abandoned(const sockaddr_un& name) noexcept {
  const Descriptor probe(socket(AF_UNIX, kStreamSocket, 0));
  return probe.is_open() && connect(probe.get(), generic(name), sizeof name) != 0 &&
         errno == ECONNREFUSED;
}

Result<Descriptor> listen_at_path(const WireAddress& address) noexcept {
  Result<sockaddr_un> name = unix_address(address);
  if (!name) return name.error();
  Descriptor fd(socket(AF_UNIX, kStreamSocket, 0));
  if (!fd.is_open()) return failed("make a socket");
  // Before it has a name, so that it is never open to others.
  if (fchmod(fd.get(), 0600) != 0) return failed("make the socket ours alone");
  const auto bind_it = [&] {
    const mode_t before = umask(0177);
    const bool is_bound = bind(fd.get(), generic(*name), sizeof *name) == 0;
    const int fault = errno;
    umask(before);
    errno = fault;
    return is_bound;
  };
  bool is_bound = bind_it();
  if (!is_bound && errno == EADDRINUSE && is_abandoned(*name)) {
    unlink(address.path.c_str());
    is_bound = bind_it();
  }
  if (!is_bound || listen(fd.get(), kBacklog) != 0) return failed("listen at the address");
  return fd;
}

// "ca=FILE&cert=FILE&key=FILE&name=NAME", in any order.
bool take_credentials(std::string_view query, WireAddress& address, std::string& fault) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query = query.substr(std::min(end + 1, query.size()));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const std::string_view key = pair.substr(0, equals);
    const std::string_view value = pair.substr(std::min(equals + 1, pair.size()));
    std::string* const place = key == "ca"     ? &address.tls.authority_file
                               : key == "cert" ? &address.tls.certificate_file
                               : key == "key"  ? &address.tls.key_file
                               : key == "name" ? &address.tls_name
                                               : nullptr;
    if (place == nullptr || value.empty()) {
      fault = "behind ? come ca=FILE, cert=FILE, key=FILE and name=NAME, not '" +
              std::string(pair) + "'";
      return false;
    }
    *place = value;
  }
  const TlsCredentials& tls = address.tls;
  if (!tls.authority_file.empty() && !tls.certificate_file.empty() && !tls.key_file.empty()) {
    return true;
  }
  fault = "write tcp+tls://HOST:PORT?ca=FILE&cert=FILE&key=FILE: both sides show a certificate";
  return false;
}

}  // namespace

bool is_wire_address(std::string_view text) noexcept {
  return text.find("://") != std::string_view::npos;
}

std::optional<WireAddress> parse_wire_address(std::string_view text, std::string& fault) {
  WireAddress address;
  const auto take_link = [&](char mark) {
    const std::size_t at = text.rfind(mark);
    if (at == std::string_view::npos) return;
    address.link = text.substr(at + 1);
    text = text.substr(0, at);
  };
  if (text.starts_with(kUnix)) {
    text.remove_prefix(kUnix.size());
    take_link('#');
    address.kind = WireAddress::Kind::kUnix;
    address.path = text;
    if (!text.empty()) return address;
    fault = "write unix://PATH, or unix://PATH#NAME for a link behind it";
    return std::nullopt;
  }
  if (!text.starts_with(kTcp) && !text.starts_with(kTls)) {
    fault = "only tcp://, tcp+tls:// and unix:// are known";
    return std::nullopt;
  }
  const bool is_tls = text.starts_with(kTls);
  address.kind = is_tls ? WireAddress::Kind::kTls : WireAddress::Kind::kTcp;
  text.remove_prefix(is_tls ? kTls.size() : kTcp.size());
  if (is_tls) {
    const std::size_t mark = std::min(text.find('?'), text.size());
    if (!take_credentials(text.substr(std::min(mark + 1, text.size())), address, fault)) {
      return std::nullopt;
    }
    text = text.substr(0, mark);
  }
  take_link('/');
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || !is_port(text.substr(colon + 1))) {
    fault = "write tcp://HOST:PORT, or tcp://HOST:PORT/NAME for a link behind it";
    return std::nullopt;
  }
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  address.host = host;
  address.port = text.substr(colon + 1);
  return address;
}

Result<Descriptor> listen_at(const WireAddress& address) noexcept {
  if (address.kind == WireAddress::Kind::kUnix) return listen_at_path(address);
  const Addresses found = find_host(address, true);
  if (!found) return kNoSuchHost;
  Error last = kNoSuchHost;
  for (const addrinfo* at = found.get(); at != nullptr; at = at->ai_next) {
    Descriptor fd(socket(at->ai_family, kStreamSocket, 0));
    if (!fd.is_open()) {
      last = failed("make a socket");
      continue;
    }
    const int on = 1;
    static_cast<void>(setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
    if (bind(fd.get(), at->ai_addr, at->ai_addrlen) == 0 && listen(fd.get(), kBacklog) == 0) {
      return fd;
    }
    last = failed("listen at the address");
  }
  return last;
}

std::uint16_t port_of(const Descriptor& listener) noexcept {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  if (getsockname(listener.get(), reinterpret_cast<sockaddr*>(&name), &size) != 0) return 0;
  if (name.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in*>(&name)->sin_port);
  if (name.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6*>(&name)->sin6_port);
  return 0;
}

std::string peer_name_of(const Descriptor& socket) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  if (getpeername(socket.get(), reinterpret_cast<sockaddr*>(&name), &size) != 0) return {};
  if (name.ss_family == AF_UNIX) {
    ucred who{};
    size = sizeof who;
    if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return {};
    return "process " + std::to_string(who.pid) + " of user " + std::to_string(who.uid);
  }
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  if (getnameinfo(reinterpret_cast<const sockaddr*>(&name), size, host.data(), host.size(),
                  port.data(), port.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return {};
  }
  const std::string text = host.data();
  const bool is_long = text.find(':') != std::string::npos;
  return (is_long ? "[" + text + "]" : text) + ":" + port.data();
}

Result<Descriptor> begin_connecting(const WireAddress& address) noexcept {
  const auto begins = [](int fd, const sockaddr* name, socklen_t size) {
    return connect(fd, name, size) == 0 || errno == EINPROGRESS || errno == EINTR;
  };
  if (address.kind == WireAddress::Kind::kUnix) {
    Result<sockaddr_un> name = unix_address(address);
    if (!name) return name.error();
    Descriptor fd(socket(AF_UNIX, kStreamSocket, 0));
    if (!fd.is_open()) return failed("make a socket");
    if (!begins(fd.get(), generic(*name), sizeof *name)) return failed("connect");
    return fd;
  }
  const Addresses found = find_host(address, false);
  if (!found) return kNoSuchHost;
  Error last = kNoSuchHost;
  for (const addrinfo* at = found.get(); at != nullptr; at = at->ai_next) {
    Descriptor fd(socket(at->ai_family, kStreamSocket, 0));
    if (fd.is_open() && begins(fd.get(), at->ai_addr, at->ai_addrlen)) return fd;
    last = failed("connect");
  }
  return last;
}

int connecting_error(const Descriptor& socket) noexcept {
  int fault = 0;
  socklen_t size = sizeof fault;
  if (getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &fault, &size) != 0) return errno;
  return fault;
}

void tune_for_wire(const Descriptor& socket, std::uint64_t silence_ns) noexcept {
  // Policy alone: where the kernel refuses, the connection works all the same.
  const auto set = [&](int option, int value) {
    static_cast<void>(setsockopt(socket.get(), IPPROTO_TCP, option, &value, sizeof value));
  };
  set(TCP_NODELAY, 1);
  set(TCP_USER_TIMEOUT, static_cast<int>(silence_ns / 1'000'000));
  set(TCP_NOTSENT_LOWAT, kUnsentBytesMax);
}

}  // namespace slipring::wire

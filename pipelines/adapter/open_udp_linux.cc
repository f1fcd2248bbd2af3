#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "pipelines/adapter/open_endpoint.h"
#include "pipelines/adapter/socket_address.h"

namespace slipring {
namespace {

constexpr std::uint32_t kDefaultBufferBytes = 4U << 20;

bool is_group(const sockaddr* address) noexcept {
  if (address->sa_family == AF_INET) {
    const auto* four = reinterpret_cast<const sockaddr_in*>(address);
    return IN_MULTICAST(ntohl(four->sin_addr.s_addr));
  }
  const auto* six = reinterpret_cast<const sockaddr_in6*>(address);
  return IN6_IS_ADDR_MULTICAST(&six->sin6_addr);
}

template <typename Value>
bool set(int fd, int level, int option, const Value& value) noexcept {
  return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

// An IPv4 interface by its name or by an address that it has.
bool find_interface(const std::string& name, ip_mreqn& place) noexcept {
  if (name.empty() || inet_pton(AF_INET, name.c_str(), &place.imr_address) == 1) return true;
  const unsigned index = if_nametoindex(name.c_str());
  place.imr_ifindex = static_cast<int>(index);
  return index != 0;
}

Status join_group(int fd, const Endpoint& endpoint, const sockaddr* address) noexcept {
  if (address->sa_family == AF_INET) {
    ip_mreqn place{};
    place.imr_multiaddr = reinterpret_cast<const sockaddr_in*>(address)->sin_addr;
    if (!find_interface(endpoint.interface_name, place)) return socket_failed("find the interface");
    // Of this group alone, whatever other programs have joined.
    if (set(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0) && set(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, place)) {
      return {};
    }
    return socket_failed("join the group");
  }
  ipv6_mreq place{};
  place.ipv6mr_multiaddr = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  if (!endpoint.interface_name.empty()) {
    place.ipv6mr_interface = if_nametoindex(endpoint.interface_name.c_str());
    if (place.ipv6mr_interface == 0) return socket_failed("find the interface");
  }
  if (!set(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, place)) return socket_failed("join the group");
  return {};
}

Status open_source(int fd, const Endpoint& endpoint, const addrinfo& at) noexcept {
  const bool joins = is_group(at.ai_addr);
  // Several programs of one machine may listen to a group; what is for one has one listener.
  if (joins && !set(fd, SOL_SOCKET, SO_REUSEADDR, 1)) return socket_failed("share the port");
  const std::uint32_t wanted =
      endpoint.buffer_bytes != 0 ? endpoint.buffer_bytes : kDefaultBufferBytes;
  // As much as the kernel grants; what does not fit is counted by it.
  static_cast<void>(set(fd, SOL_SOCKET, SO_RCVBUF, static_cast<int>(wanted)));
  if (bind(fd, at.ai_addr, at.ai_addrlen) != 0) return socket_failed("receive at the address");
  return joins ? join_group(fd, endpoint, at.ai_addr) : Status();
}

Status choose_interface(int fd, const Endpoint& endpoint, int family) noexcept {
  if (endpoint.interface_name.empty()) return {};
  if (family == AF_INET) {
    ip_mreqn place{};
    if (!find_interface(endpoint.interface_name, place)) return socket_failed("find the interface");
    if (!set(fd, IPPROTO_IP, IP_MULTICAST_IF, place)) return socket_failed("choose the interface");
    return {};
  }
  const unsigned index = if_nametoindex(endpoint.interface_name.c_str());
  if (index == 0) return socket_failed("find the interface");
  if (!set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, static_cast<int>(index))) {
    return socket_failed("choose the interface");
  }
  return {};
}

Status open_sink(int fd, const Endpoint& endpoint, const addrinfo& at) noexcept {
  const bool is_four = at.ai_family == AF_INET;
  const bool is_for_group = is_group(at.ai_addr);
  if (is_for_group) {
    if (Status chosen = choose_interface(fd, endpoint, at.ai_family); !chosen) return chosen;
  }
  if (endpoint.ttl != 0) {
    const int level = is_four ? IPPROTO_IP : IPPROTO_IPV6;
    const int option = is_for_group ? (is_four ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS)
                                    : (is_four ? IP_TTL : IPV6_UNICAST_HOPS);
    if (!set(fd, level, option, static_cast<int>(endpoint.ttl)))
      return socket_failed("set the TTL");
  }
  if (connect(fd, at.ai_addr, at.ai_addrlen) != 0) return socket_failed("send to the address");
  return {};
}

}  // namespace

Result<Descriptor> open_udp(const Endpoint& endpoint, Direction direction) noexcept {
  const bool is_source = direction == Direction::kSource;
  Result<AddressList> found = find_addresses(endpoint, SOCK_DGRAM, is_source ? AI_PASSIVE : 0);
  if (!found) return found.error();
  Error last{ErrorCode::kNotFound, 0, "find the host", 0, 0};
  for (const addrinfo* at = found->get(); at != nullptr; at = at->ai_next) {
    Descriptor fd(socket(at->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!fd.is_open()) {
      last = socket_failed("make a socket");
      continue;
    }
    const Status opened =
        is_source ? open_source(fd.get(), endpoint, *at) : open_sink(fd.get(), endpoint, *at);
    if (opened.ok()) return fd;
    last = opened.error();
  }
  return last;
}

}  // namespace slipring

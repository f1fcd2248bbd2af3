#include "pipelines/settop/ingest/byte_source.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

namespace slipring::settop {
namespace {

[[nodiscard]] Error system_error(const char* doing) noexcept {
  const int fault = errno;
  const ErrorCode code = fault == ENOENT                     ? ErrorCode::kNotFound
                         : fault == EACCES || fault == EPERM ? ErrorCode::kPermission
                                                             : ErrorCode::kSystem;
  return Error{code, fault, doing, 0, 0};
}

[[nodiscard]] bool is_multicast(in_addr address) noexcept {
  return (ntohl(address.s_addr) >> 28) == 14;
}

// Asks for the buffer, past the system's limit where we may.
[[nodiscard]] std::uint32_t set_receive_buffer(int fd, std::uint32_t wanted_bytes) noexcept {
  const int wanted = static_cast<int>(wanted_bytes);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &wanted, sizeof wanted) != 0) {
    // A smaller buffer is no failure; the caller is told what there is.
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &wanted, sizeof wanted);
  }
  int got = 0;
  socklen_t got_bytes = sizeof got;
  if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &got_bytes) != 0 || got < 0) return 0;
  return static_cast<std::uint32_t>(got) / 2;  // the kernel reports twice what it grants
}

}  // namespace

ByteSource::ByteSource(Descriptor descriptor, bool live) noexcept
    : descriptor_(std::move(descriptor)), live_(live) {}

Result<ByteSource> ByteSource::open(const SourceAddress& address,
                                    std::uint64_t offset_bytes) noexcept {
  if (address.kind == SourceAddress::Kind::kUdp) return open_udp(address);
  Descriptor file(::open(address.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file.is_open()) return system_error("opening the source file");
  if (offset_bytes != 0 && lseek(file.get(), static_cast<off_t>(offset_bytes), SEEK_SET) < 0) {
    return system_error("going on in the source file where a predecessor stopped");
  }
  // Only a hint: reading is sequential.
  (void)posix_fadvise(file.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  return ByteSource(std::move(file), false);
}

Result<ByteSource> ByteSource::open_udp(const SourceAddress& address) noexcept {
  Descriptor socket_fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_fd.is_open()) return system_error("making a UDP socket");
  sockaddr_in local{};
  local.sin_family = AF_INET;
  local.sin_port = htons(address.port);
  if (inet_pton(AF_INET, address.host.c_str(), &local.sin_addr) != 1) {
    return Error{ErrorCode::kInvalidArgument, 0, "source host is not an IPv4 address", 0, 0};
  }
  const int on = 1;
  if (is_multicast(local.sin_addr) &&
      setsockopt(socket_fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
    return system_error("sharing the multicast port");
  }
  const std::uint32_t got = set_receive_buffer(socket_fd.get(), address.receive_buffer_bytes);
  if (setsockopt(socket_fd.get(), SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on) != 0) {
    return system_error("asking the kernel to count lost datagrams");
  }
  if (bind(socket_fd.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local) != 0) {
    return system_error("binding the UDP socket");
  }
  if (is_multicast(local.sin_addr)) {
    ip_mreq membership{};
    membership.imr_multiaddr = local.sin_addr;
    if (!address.interface_host.empty()) {
      (void)inet_pton(AF_INET, address.interface_host.c_str(), &membership.imr_interface);
    }
    if (setsockopt(socket_fd.get(), IPPROTO_IP, IP_ADD_MEMBERSHIP, &membership,
                   sizeof membership) != 0) {
      return system_error("joining the multicast group");
    }
    const int off = 0;  // only groups that this socket joined
    (void)setsockopt(socket_fd.get(), IPPROTO_IP, IP_MULTICAST_ALL, &off, sizeof off);
  }
  ByteSource source(std::move(socket_fd), true);
  source.receive_buffer_bytes_ = got;
  return source;
}

Result<ReadOutcome> ByteSource::read(std::span<std::byte> place, std::size_t& size_bytes) noexcept {
  if (live_) return read_datagram(place, size_bytes);
  for (;;) {
    const ssize_t got = ::read(descriptor_.get(), place.data(), place.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("reading the source file");
    size_bytes = static_cast<std::size_t>(got);
    return got == 0 ? ReadOutcome::kEnd : ReadOutcome::kData;
  }
}

Result<ReadOutcome> ByteSource::read_datagram(std::span<std::byte> place,
                                              std::size_t& size_bytes) noexcept {
  iovec vector{place.data(), place.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(std::uint32_t))];
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(descriptor_.get(), &message, MSG_DONTWAIT);
  if (got < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return ReadOutcome::kNothingYet;
    return system_error("receiving a datagram");
  }
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SO_RXQ_OVFL) continue;
    std::uint32_t dropped = 0;
    memcpy(&dropped, CMSG_DATA(header), sizeof dropped);
    kernel_drop_count_ = dropped;
  }
  size_bytes = static_cast<std::size_t>(got);
  return ReadOutcome::kData;
}

void ByteSource::wait(std::uint32_t timeout_ms) const noexcept {
  if (!live_) return;
  pollfd descriptor{descriptor_.get(), POLLIN, 0};
  (void)poll(&descriptor, 1,
             static_cast<int>(timeout_ms));  // whatever ends it, the caller looks again
}

}  // namespace slipring::settop

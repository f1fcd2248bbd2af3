#include "platform/rendezvous/connection.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/error/check.h"
#include "platform/rendezvous/address.h"
#include "platform/wait/clock.h"

namespace slipring {
namespace {

constexpr int kPeerPidfdOption = 77;  // SO_PEERPIDFD, Linux 6.5
constexpr std::uint64_t kRetryNs = 1'000'000;

// One descriptor more than a packet may have, so that one too many is seen and not only cut off.
constexpr std::size_t kControlBytes = CMSG_SPACE((kMaxPacketDescriptors + 1) * sizeof(int));

Error failed(const char* doing) noexcept {
  const ErrorCode code =
      errno == EACCES || errno == EPERM                              ? ErrorCode::kPermission
      : errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN   ? ErrorCode::kClosed
      : errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS ? ErrorCode::kBusy
                                                                     : ErrorCode::kSystem;
  return {code, errno, doing};
}

Result<PeerCredentials> credentials_of(int socket) noexcept {
  ucred kernel_says = {};
  socklen_t size = sizeof kernel_says;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &kernel_says, &size) != 0) {
    return Error{ErrorCode::kSystem, errno, "ask who the other end is"};
  }
  int pidfd = -1;
  size = sizeof pidfd;
  if (::getsockopt(socket, SOL_SOCKET, kPeerPidfdOption, &pidfd, &size) == 0) {
    const int flags = ::fcntl(pidfd, F_GETFD);
    if (flags >= 0) ::fcntl(pidfd, F_SETFD, flags | FD_CLOEXEC);
    return PeerCredentials{kernel_says.uid, kernel_says.gid,
                           Peer::adopt(Descriptor(pidfd), kernel_says.pid)};
  }
  if (errno != ENOPROTOOPT) return failed("ask for the other end's process");
  // Linux before 6.5.  A number that was given to another process meanwhile does no harm: the one
  // that we mean is dead then, and we believe it alive for longer.
  Result<Peer> process = Peer::open(kernel_says.pid);
  if (!process) return process.error();
  return PeerCredentials{kernel_says.uid, kernel_says.gid, std::move(process).value()};
}

Status judge_listener(const SegmentDirectory& directory, uid_t user) noexcept {
  struct stat found = {};
  if (::fstat(directory.fd(), &found) != 0) return failed("look at the segment directory");
  if (user == ::geteuid() || user == 0 || user == found.st_uid) return {};
  return Error{ErrorCode::kPermission, 0,
               "meet somebody who is neither us, nor root, nor the owner", user, ::geteuid()};
}

// Takes what came with a packet; answers how many descriptors that were, all of them closed when
// there is no room.
std::size_t take_descriptors(msghdr& message, Packet& packet) noexcept {
  std::size_t count = 0;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t fd_count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < fd_count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      Descriptor taken(fd);
      if (count < kMaxPacketDescriptors) packet.descriptors[count] = std::move(taken);
      ++count;
    }
  }
  return count;
}

}  // namespace

Result<Connection> Connection::connect(const SegmentDirectory& directory, std::string_view name,
                                       std::uint64_t deadline_ns) noexcept {
  Result<RendezvousAddress> where = rendezvous_address(directory, name);
  if (!where) return where.error();
  for (;;) {
    Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.is_open()) return failed("make a socket");
    if (::connect(socket.get(), where->get(), where->size_bytes) == 0) {
      Result<Connection> connection = adopt(std::move(socket));
      if (!connection) return connection.error();
      if (Status judged = judge_listener(directory, connection->peer().user); !judged) {
        return judged.error();
      }
      return connection;
    }
    if (errno == ENOENT || errno == ECONNREFUSED) {
      return Error{ErrorCode::kNotFound, errno, "connect to a rendezvous where nobody listens"};
    }
    if (errno != EAGAIN && errno != EINTR) return failed("connect to a rendezvous");
    if (monotonic_ns() >= deadline_ns) return failed("connect to a rendezvous whose queue is full");
    // The kernel tells nobody when a queue has room again.
    const timespec rest{0, static_cast<long>(kRetryNs)};
    ::nanosleep(&rest, nullptr);
  }
}

Result<Connection> Connection::adopt(Descriptor socket) noexcept {
  Result<PeerCredentials> peer = credentials_of(socket.get());
  if (!peer) return peer.error();
  return Connection(std::move(socket), std::move(peer).value());
}

Status Connection::send(std::uint16_t kind, std::span<const std::byte> body,
                        std::span<const int> descriptors) const noexcept {
  check(body.size() <= kMaxBodyBytes && descriptors.size() <= kMaxPacketDescriptors,
        "a packet within its limits");
  const PacketHeader header{kPacketMagic, kPacketVersion, kind,
                            static_cast<std::uint32_t>(body.size()),
                            static_cast<std::uint32_t>(descriptors.size())};
  std::array<std::byte, sizeof header + kMaxBodyBytes> image;
  std::memcpy(image.data(), &header, sizeof header);
  if (!body.empty()) std::memcpy(image.data() + sizeof header, body.data(), body.size());
  iovec part{image.data(), sizeof header + body.size()};
  alignas(cmsghdr) std::array<std::byte, kControlBytes> control = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return failed("send a packet");
  check(static_cast<std::size_t>(sent) == part.iov_len, "a packet is sent whole");
  return {};
}

Result<Arrival> Connection::receive(Packet& packet) const noexcept {
  for (Descriptor& descriptor : packet.descriptors) descriptor.reset();
  packet.descriptor_count = 0;
  packet.body_bytes = 0;
  PacketHeader header = {};
  std::array<iovec, 2> parts = {iovec{&header, sizeof header},
                                iovec{packet.body.data(), packet.body.size()}};
  alignas(cmsghdr) std::array<std::byte, kControlBytes> control = {};
  msghdr message = {};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t got = 0;
  // An end that closes with packets unread resets the connection: the kernel says so once, before
  // it gives what that end had sent.
  bool was_reset = false;
  do {
    got = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && (errno == EINTR || (errno == ECONNRESET && !std::exchange(was_reset, true))));
  if (got < 0) {
    if (errno == EAGAIN) return Arrival::kNothing;
    if (errno == ECONNRESET) return Arrival::kClosed;
    return failed("receive a packet");
  }
  const std::size_t descriptor_count = take_descriptors(message, packet);
  // An empty packet looks like the end; nobody of ours sends one.
  if (got == 0) return Arrival::kClosed;
  const auto size_bytes = static_cast<std::size_t>(got);
  const bool is_whole = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
  const bool is_ours =
      is_whole && size_bytes >= sizeof header && header.magic == kPacketMagic &&
      header.version == kPacketVersion && header.body_bytes == size_bytes - sizeof header &&
      header.descriptor_count == descriptor_count && descriptor_count <= kMaxPacketDescriptors;
  if (!is_ours) {
    for (Descriptor& descriptor : packet.descriptors) descriptor.reset();
    return Error{ErrorCode::kCorruptPeer, 0, "what came over a rendezvous is no packet of it",
                 size_bytes, descriptor_count};
  }
  packet.kind = header.kind;
  packet.body_bytes = header.body_bytes;
  packet.descriptor_count = descriptor_count;
  return Arrival::kPacket;
}

bool Connection::has_ended() const noexcept {
  pollfd watched{socket_.get(), 0, 0};
  return ::poll(&watched, 1, 0) == 1 && (watched.revents & (POLLHUP | POLLERR)) != 0;
}

Result<bool> Connection::wait(std::uint64_t deadline_ns) const noexcept {
  for (;;) {
    const std::uint64_t now_ns = monotonic_ns();
    timespec rest = {};
    if (deadline_ns > now_ns && deadline_ns != kNoDeadline) {
      const std::uint64_t rest_ns =
          std::min<std::uint64_t>(deadline_ns - now_ns, 3'600'000'000'000);
      rest.tv_sec = static_cast<time_t>(rest_ns / 1'000'000'000);
      rest.tv_nsec = static_cast<long>(rest_ns % 1'000'000'000);
    }
    pollfd watched{socket_.get(), POLLIN, 0};
    const int count = ::ppoll(&watched, 1, deadline_ns == kNoDeadline ? nullptr : &rest, nullptr);
    if (count > 0) return true;
    if (count < 0 && errno != EINTR) return failed("wait for a packet");
    if (count == 0 && monotonic_ns() >= deadline_ns) return false;
  }
}

}  // namespace slipring

// A client of a rendezvous that keeps to no rule: any bytes, any descriptors.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "pipelines/link/guard_protocol.h"
#include "platform/rendezvous/address.h"
#include "platform/rendezvous/packet.h"

namespace slipring::hostile {

class RawClient {
 public:
  static constexpr int kPatienceMs = 20'000;

  explicit RawClient(const SegmentDirectory& directory, const char* name = "t.link")
      : fd_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    const Result<RendezvousAddress> where = rendezvous_address(directory, name);
    is_connected_ =
        where.ok() && ::connect(fd_, where.value().get(), where.value().size_bytes) == 0;
  }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient() { ::close(fd_); }

  [[nodiscard]] bool is_connected() const { return is_connected_; }

  // As many bytes and descriptors as are given; false when the kernel or the other end refuses.
  bool send(std::span<const std::byte> bytes, std::span<const int> descriptors = {}) const {
    std::vector<char> control(CMSG_SPACE(sizeof(int) * descriptors.size()));
    iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!descriptors.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* rights = CMSG_FIRSTHDR(&message);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(sizeof(int) * descriptors.size());
      std::memcpy(CMSG_DATA(rights), descriptors.data(), sizeof(int) * descriptors.size());
    }
    return ::sendmsg(fd_, &message, MSG_NOSIGNAL) >= 0;
  }

  // A packet as it should be, to be spoilt.
  [[nodiscard]] static std::vector<std::byte> packet(GuardKind kind,
                                                     std::span<const std::byte> body,
                                                     std::size_t descriptor_count = 0) {
    const PacketHeader header{kPacketMagic, kPacketVersion, static_cast<std::uint16_t>(kind),
                              static_cast<std::uint32_t>(body.size()),
                              static_cast<std::uint32_t>(descriptor_count)};
    std::vector<std::byte> bytes(sizeof header + body.size());
    std::memcpy(bytes.data(), &header, sizeof header);
    if (!body.empty()) std::memcpy(bytes.data() + sizeof header, body.data(), body.size());
    return bytes;
  }
  template <typename Body>
  bool say(GuardKind kind, const Body& body, std::span<const int> descriptors = {}) const {
    return send(packet(kind, guard_bytes(body), descriptors.size()), descriptors);
  }

  // The kind of the next packet, 0 when the connection ends, -1 when nothing comes.
  [[nodiscard]] int hear() {
    pollfd watched{fd_, POLLIN, 0};
    if (::poll(&watched, 1, kPatienceMs) != 1) return -1;
    std::array<char, CMSG_SPACE(sizeof(int) * 8)> control{};
    iovec part{bytes_.data(), bytes_.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t count = ::recvmsg(fd_, &message, MSG_CMSG_CLOEXEC);
    if (count < static_cast<ssize_t>(sizeof(PacketHeader))) return 0;
    for (cmsghdr* rights = CMSG_FIRSTHDR(&message); rights != nullptr;
         rights = CMSG_NXTHDR(&message, rights)) {
      const std::size_t fds = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      descriptors_.resize(fds);
      std::memcpy(descriptors_.data(), CMSG_DATA(rights), fds * sizeof(int));
    }
    PacketHeader header;
    std::memcpy(&header, bytes_.data(), sizeof header);
    return header.kind;
  }
  // Of the packet heard last.
  template <typename Body>
  [[nodiscard]] Body body() const {
    Body body;
    std::memcpy(&body, bytes_.data() + sizeof(PacketHeader), sizeof body);
    return body;
  }
  // Those that came last, to be kept or lost.
  [[nodiscard]] const std::vector<int>& descriptors() const { return descriptors_; }

  // Asks for a role; whether it was granted.
  [[nodiscard]] bool ask(Role role) {
    return say(GuardKind::kAsk, GuardAsk{static_cast<std::uint32_t>(role), 0}) &&
           hear() == static_cast<int>(GuardKind::kGrant);
  }

 private:
  int fd_;
  bool is_connected_ = false;
  std::array<std::byte, 512> bytes_{};
  std::vector<int> descriptors_;
};

}  // namespace slipring::hostile

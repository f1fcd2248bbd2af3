// One end of a connection between two processes that know who the other is.
//
// Who.  The kernel says it, once: user, group and process as they were when the other end connected
// (or, seen from the connecting side, listened), and a pidfd that goes on meaning that process.
// What the other sends says nothing about who it is.
//
// Nothing here waits, except connect() and wait(), which have a deadline.  Descriptors that come
// are close-on-exec; those that are too many, or come with a packet that is refused, are closed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string_view>

#include "core/error/result.h"
#include "platform/memory/segment_directory.h"
#include "platform/process/descriptor.h"
#include "platform/process/peer.h"
#include "platform/rendezvous/packet.h"

namespace slipring {

struct PeerCredentials {
  uid_t user = 0;
  gid_t group = 0;
  Peer process;  // its pid is 0 when it is not visible in our PID namespace
};

enum class Arrival : std::uint8_t {
  kPacket,
  kNothing,  // not yet
  kClosed,   // the other end is gone, and so is everything that it had sent
};

class Connection {
 public:
  // Connects to the rendezvous `name` in the directory, whose owner must be us, root, or the
  // directory's owner.  Errors: kNotFound (no such rendezvous, or nobody listens any more: os_errno
  // is ENOENT or ECONNREFUSED), kPermission, kBusy (its queue stayed full until the deadline),
  // kInvalidArgument (name), kSystem.
  static Result<Connection> connect(const SegmentDirectory& directory, std::string_view name,
                                    std::uint64_t deadline_ns) noexcept;

  // Takes over a connected SOCK_SEQPACKET socket.  Errors: kUnsupported, kSystem.
  static Result<Connection> adopt(Descriptor socket) noexcept;

  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  [[nodiscard]] const PeerCredentials& peer() const noexcept { return peer_; }

  // Sends one packet, or nothing of it.  The descriptors stay the caller's.
  // Errors: kBusy (the other end has not read what was sent before), kClosed, kSystem.
  // Requires: body and descriptors within the limits of packet.h.
  Status send(std::uint16_t kind, std::span<const std::byte> body,
              std::span<const int> descriptors = {}) const noexcept;

  // Takes the next packet.  Errors: kCorruptPeer (what came is no packet of ours; the connection is
  // of no use any more), kSystem.
  Result<Arrival> receive(Packet& packet) const noexcept;

  // The other end is gone, whatever is still to be received.
  [[nodiscard]] bool has_ended() const noexcept;

  // Waits until there is something to receive; false at the deadline.  Errors: kSystem.
  Result<bool> wait(std::uint64_t deadline_ns) const noexcept;

 private:
  Connection(Descriptor socket, PeerCredentials peer) noexcept
      : socket_(std::move(socket)), peer_(std::move(peer)) {}

  Descriptor socket_;
  PeerCredentials peer_;
};

}  // namespace slipring

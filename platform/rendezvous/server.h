// A place where processes meet: a listening unix socket with a name, and the connections to it.
//
// Protocol.  The owner sleeps on poll_fd() until next_deadline_ns(), calls begin_turn(), and takes
// events until there are none; nothing here waits.  A connection is named by an Id that is never
// used again.
//
// Slots.  Connections are bounded, in all and for each user.  One that has not sent a good packet
// yet is silent: when slots run out, the oldest silent one is dropped for the newcomer (of the same
// user, if that user's slots ran out); when none is silent, the newcomer is refused.  A silent one
// is dropped anyway after kSilenceNs.  Whoever has spoken is dropped for a broken packet only.
//
// Name.  The socket lies in the segment directory as NAME.guard, with mode and group as asked, and
// goes with the object.  One whose owner was killed stays, and is recognised by the kernel's
// refusing connections to it.  How it is taken over, without a lock: name_claim.h.
//
// Crash.  The kernel closes a dead owner's sockets: its clients see the end of their connections.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error/result.h"
#include "platform/memory/segment_directory.h"
#include "platform/process/descriptor.h"
#include "platform/rendezvous/connection.h"
#include "platform/rendezvous/name_claim.h"
#include "platform/rendezvous/packet.h"

namespace slipring {

struct RendezvousOptions {
  mode_t mode = 0600;  // or 0660
  std::optional<gid_t> group;
  std::size_t connection_count_max = 64;
  std::size_t per_user_count_max = 48;
};

inline constexpr std::uint64_t kSilenceNs = 5'000'000'000;

class RendezvousServer {
 public:
  using Id = std::uint64_t;

  struct Event {
    enum class Kind : std::uint8_t {
      kPacket,    // in packet()
      kClosed,    // the connection is gone, or was broken; its Id means nothing any more
      kWritable,  // after want_writable()
      kWatched,   // a descriptor of watch() is readable
    } kind;
    Id id = 0;  // kWatched: the tag
  };

  // Errors: kInvalidArgument (mode), kSystem, as claim_name().
  static Result<RendezvousServer> create(const SegmentDirectory& directory, std::string_view name,
                                         const RendezvousOptions& options = {}) noexcept;

  RendezvousServer(RendezvousServer&&) = default;
  RendezvousServer& operator=(RendezvousServer&&) = delete;
  RendezvousServer(const RendezvousServer&) = delete;
  ~RendezvousServer();

  [[nodiscard]] int poll_fd() const noexcept { return epoll_.get(); }
  // When a silent connection is due to be dropped.  kNoDeadline: never.
  [[nodiscard]] std::uint64_t next_deadline_ns() const noexcept;

  void begin_turn() noexcept;
  [[nodiscard]] std::optional<Event> next() noexcept;
  // Of the last kPacket event; what is not taken out is closed by the next.
  [[nodiscard]] Packet& packet() noexcept { return packet_; }

  // nullptr when the connection is gone.
  [[nodiscard]] const PeerCredentials* peer(Id id) const noexcept;
  // Errors: kClosed (gone), as Connection::send().
  Status send(Id id, std::uint16_t kind, std::span<const std::byte> body,
              std::span<const int> descriptors = {}) noexcept;
  // Asks for one kWritable event.
  void want_writable(Id id) noexcept;
  // No event follows.
  void close(Id id) noexcept;

  // Asks for one kWatched event with `tag` once `fd` is readable; forget it before it is closed.
  // Errors: kSystem.
  Status watch(int fd, std::uint32_t tag) noexcept;
  void forget(int fd) noexcept;

  [[nodiscard]] std::size_t connection_count() const noexcept;

 private:
  struct Slot {
    std::optional<Connection> connection;
    std::uint32_t serial = 0;
    bool is_silent = true;
    std::uint64_t since_ns = 0;
  };

  RendezvousServer(std::string name, Descriptor directory, OwnedName owned, Descriptor epoll,
                   const RendezvousOptions& options) noexcept;
  void accept_all() noexcept;
  void accept_without_descriptors() noexcept;
  [[nodiscard]] Slot* place_for(uid_t user) noexcept;
  [[nodiscard]] Slot* find(Id id) noexcept;
  [[nodiscard]] Id id_of(const Slot& slot) const noexcept;
  [[nodiscard]] std::optional<Event> read_from(Slot& slot) noexcept;
  void drop(Slot& slot) noexcept;

  static constexpr std::size_t kEventsATurn = 64;
  struct Ready {
    std::uint64_t tag;
    std::uint32_t events;
  };

  std::string name_;
  Descriptor directory_;
  Descriptor socket_;
  Descriptor epoll_;
  Descriptor spare_;  // given up for a moment when descriptors run out
  std::uint64_t inode_ = 0;
  RendezvousOptions options_;
  std::vector<Slot> slots_;
  std::array<Ready, kEventsATurn> ready_{};
  std::size_t ready_count_ = 0;
  std::size_t ready_next_ = 0;
  bool has_newcomers_ = false;
  std::uint32_t last_serial_ = 0;
  Packet packet_;
};

// Whether somebody listens at `name`; a name without a listener is left alone.
// Errors: kInvalidArgument, kSystem.
Result<bool> is_rendezvous_alive(const SegmentDirectory& directory, std::string_view name) noexcept;

// Sleeps until nobody listens at `name`, as a killed owner does until the kernel has buried it;
// true without waiting where there is no listener, false if one is there at the deadline.  Takes a
// place in the listener's queue while it sleeps.  Errors: kInvalidArgument, kSystem.
Result<bool> wait_until_refused(const SegmentDirectory& directory, std::string_view name,
                                std::uint64_t deadline_ns) noexcept;

// The names of the rendezvous in the directory, alive or stale, sorted.  Errors: kSystem.
Result<std::vector<std::string>> list_rendezvous(const SegmentDirectory& directory) noexcept;

// Takes a stale rendezvous's name away, and is its owner for that moment.  Errors:
// kInvalidArgument, kNotFound, kBusy (somebody listens there), as claim_name().
Status remove_stale_rendezvous(const SegmentDirectory& directory, std::string_view name) noexcept;

}  // namespace slipring

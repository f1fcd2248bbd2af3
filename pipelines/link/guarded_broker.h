// The broker of one guarded link: who may take which role, and who has which memory.
//
// Protocol.  GUARD.md.  Whoever makes a link is its broker, usually the runner.  It never sees a
// message, and never writes to a role's memory: it checks with the kernel who asks, grants a role
// that nobody living holds, takes the memory that the role's holder made, and hands it to the
// other role's holder.  It waits for nobody: sleep on poll_fd() until next_deadline_ns(), then call
// turn().
//
// A role is free when it never had a holder, when its holder said that it has stored for the last
// time, or when the kernel says that its process has ended.  A connection that was lost says
// nothing: its process may live, and go on storing.  Nothing is taken from the living.
//
// Crash.  With the broker go its socket and its right to hand memory on; ends that are attached
// keep what they have.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/error/result.h"
#include "pipelines/link/guard_protocol.h"
#include "pipelines/link/guard_shape.h"
#include "pipelines/link/guarded_end.h"
#include "platform/memory/sealed_memory.h"
#include "platform/memory/segment_directory.h"
#include "platform/process/peer.h"
#include "platform/rendezvous/server.h"

namespace slipring {

// News that an end has not acknowledged; each holds a descriptor.  Further ones wait, and only the
// newest of them is told.
inline constexpr std::uint32_t kMaxUntakenNews = 8;

// Who may take a role.  All that is set must hold.
struct GuardAccess {
  std::optional<uid_t> user;
  std::optional<gid_t> group;
  bool only_process = false;  // the one of GuardedBroker::expect(); nobody before it
};

struct GuardOptions {
  // Empty: whoever has our effective user, root included.
  std::optional<GuardAccess> writer;
  std::optional<GuardAccess> reader;
  std::optional<GuardAccess> observer;
  std::optional<GuardAccess> commander;  // who may have the reader drop what is queued
  RendezvousOptions rendezvous;
};

class GuardedBroker {
 public:
  // Makes a link (or, with a shape of kind kBoard, a board) that nobody is attached to.  Errors: as
  // validate_shape(), RendezvousServer::create(), make_sealed_memory().
  static Result<GuardedBroker> create(const SegmentDirectory& directory, std::string_view name,
                                      const LinkShape& shape,
                                      const GuardOptions& options = {}) noexcept;
  GuardedBroker(GuardedBroker&&) = default;
  GuardedBroker& operator=(GuardedBroker&&) = delete;
  GuardedBroker(const GuardedBroker&) = delete;

  [[nodiscard]] int poll_fd() const noexcept { return server_.poll_fd(); }
  [[nodiscard]] std::uint64_t next_deadline_ns() const noexcept {
    return server_.next_deadline_ns();
  }
  void turn() noexcept;

  // From now on the role, as far as its access says only_process, is for this process.
  void expect(Role role, Peer process) noexcept;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const LinkShape& shape() const noexcept { return shape_.shape; }
  // Of the memory of both roles.
  [[nodiscard]] std::uint64_t total_bytes() const noexcept {
    return shape_.parts.writer_bytes + shape_.parts.reader_bytes;
  }
  // A look without the socket, for the broker's own thread.  Errors: as Mapping::map().
  Result<std::unique_ptr<GuardedView>> view() const noexcept;
  void refresh(GuardedView& view) const noexcept;

 private:
  using Id = RendezvousServer::Id;

  enum class Hold : std::uint8_t {
    kFree,
    kCopying,   // granted; the holder has not handed its memory in
    kAttached,  // its memory is the role's
  };
  struct Seat {
    Hold hold = Hold::kFree;
    Id holder_id = 0;             // of its connection, which may be gone
    std::optional<Peer> process;  // of the holder
    GuardOwner holder{};          // who it is; generation: of the memory that it is to hand in
    GuardOwner owner{};           // of the memory below
    Descriptor memory;
    ProtectionLevel protection = ProtectionLevel::kSealed;
    GuardAccess access;
    std::optional<Peer> expected;
    bool has_news = false;            // about the other role, not told yet
    std::uint32_t untaken_count = 0;  // told, and not acknowledged
  };

  GuardedBroker(std::string name, const GuardShape& shape, RendezvousServer server,
                SealedMemory page) noexcept;
  [[nodiscard]] GuardSeat& shown(Role role) noexcept;
  [[nodiscard]] Seat& seat(Role role) noexcept { return seats_[seat_of(role)]; }
  [[nodiscard]] bool may_take(const GuardAccess& access, const std::optional<Peer>& expected,
                              const PeerCredentials& who) const noexcept;
  [[nodiscard]] std::optional<Role> role_of(Id id) const noexcept;
  [[nodiscard]] GuardGrant grant_now() const noexcept;

  void hear(Id id, Packet& packet) noexcept;
  void answer_ask(Id id, const GuardAsk& ask) noexcept;
  void grant_role(Id id, Role role, const PeerCredentials& who) noexcept;
  void grant_look(Id id) noexcept;
  void take_region(Id id, Packet& packet) noexcept;
  void answer_abort(Id id) noexcept;
  void refuse(Id id, const Error& why) noexcept;
  void lost(Id id) noexcept;
  void look_for_death(Role role) noexcept;
  void free_role(Role role) noexcept;
  void tell_news(Role role) noexcept;

  std::string name_;
  GuardShape shape_;
  std::uint64_t created_ns_ = 0;
  GuardAccess observer_access_;
  GuardAccess commander_access_;
  std::array<Seat, 2> seats_;
  SealedMemory page_;
  RendezvousServer server_;  // last: its name goes before what it hands out
};

}  // namespace slipring

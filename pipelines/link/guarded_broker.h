// The broker of one guarded link, or lane set: who may take which role, and who has which memory.
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
// Of a lane set, a writer gets a lane whose messages are read (guarded_seating.h), so that the
// memory of a lane's writer never holds another's.
//
// Crash.  With the broker go its socket and its right to hand memory on; ends that are attached
// keep what they have.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/error/result.h"
#include "pipelines/link/guard_access.h"
#include "pipelines/link/guard_protocol.h"
#include "pipelines/link/guard_shape.h"
#include "pipelines/link/guarded_end.h"
#include "pipelines/link/guarded_places.h"
#include "pipelines/link/guarded_seating.h"
#include "pipelines/link/guarded_seats.h"
#include "platform/memory/segment_directory.h"
#include "platform/process/peer.h"
#include "platform/rendezvous/server.h"

namespace slipring {

// News that an end has not acknowledged; each holds a descriptor.  Further ones wait, and only the
// newest of them is told.
inline constexpr std::uint32_t kMaxUntakenNews = 8;

struct GuardOptions {
  // Empty: whoever has our effective user, root included.
  std::optional<GuardAccess> writer;
  std::optional<GuardAccess> reader;
  std::optional<GuardAccess> observer;
  std::optional<GuardAccess> commander;  // who may have the reader drop what is queued
  // Of a lane set: lanes that one process, or one user, may have; 0: all.
  std::uint32_t lanes_per_process = 0;
  std::uint32_t lanes_per_user = 0;
  // The bounds on connections count beside what the lanes of a set need.
  RendezvousOptions rendezvous;
};

// One thread, which sleeps on poll_fd().
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

  // From now on the role, as far as its access says only_process, is for this process; the writing
  // role of a lane set for this one, too.
  void expect(Role role, Peer process) noexcept;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const LinkShape& shape() const noexcept { return seats_.shape().shape; }
  // Of the memory of all roles.
  [[nodiscard]] std::uint64_t total_bytes() const noexcept {
    return seats_.lane_count() *
           (seats_.shape().parts.writer_bytes + seats_.shape().parts.reader_bytes);
  }
  // A look without the socket, for the broker's own thread.  Errors: as Mapping::map().
  Result<std::unique_ptr<GuardedView>> view(std::uint32_t lane = 0) const noexcept;
  void refresh(GuardedView& view) const noexcept;

 private:
  using Id = RendezvousServer::Id;

  GuardedBroker(std::string name, GuardedSeats seats, RendezvousServer server) noexcept;
  [[nodiscard]] GuardRule& rule(Role role) noexcept { return rules_[seat_of(role)]; }

  void hear(Id id, Packet& packet) noexcept;
  void answer_ask(Id id, const GuardAsk& ask) noexcept;
  void grant_role(Id id, const SeatPlace& place, const PeerCredentials& who) noexcept;
  void grant_look(Id id, std::uint32_t lane, std::uint32_t role) noexcept;
  void take_region(Id id, Packet& packet) noexcept;
  void take_subscriber(Id id, Packet& packet) noexcept;
  void answer_abort(Id id) noexcept;
  void refuse(Id id, const Error& why) noexcept;
  void lost(Id id) noexcept;
  void look_for_death(const SeatPlace& place) noexcept;
  void free_role(const SeatPlace& place) noexcept;
  void tell_news(const SeatPlace& place) noexcept;
  void tell_places() noexcept;
  void show_must_ring() noexcept;
  Status send_news(const SeatPlace& place, const GuardNews& body, int memory) noexcept;
  static void ring_all(GuardSeat& seat) noexcept;

  std::string name_;
  GuardedSeats seats_;
  GuardedPlaces places_;  // of a broadcast link
  GuardRule rules_[2];    // the writer's, the reader's
  GuardRule observers_;
  GuardRule commanders_;
  LaneShare lane_share_;
  RendezvousServer server_;  // last: its name goes before what it hands out
};

}  // namespace slipring

// One end of a guarded link: its memory is its own, sealed against everybody else, and the other
// end's comes from the link's broker, which asked the kernel who sent it.
//
// Protocol.  GUARD.md.  An end asks its broker for a role, makes memory, takes over what its dead
// predecessor left, seals it, and hands it in; the broker gives it to the other end.  From then on
// the two ends need the broker only when one of them is replaced: the living one then finds news in
// its connection, and shows the new memory at the place of the old, so that nothing else changes
// for it.
//
// Crash.  An end that dies before its memory was accepted leaves its predecessor's; afterwards, its
// own.  When the broker dies, ends that are attached go on, and nobody new can attach.
//
// One thread, that of the end.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error/result.h"
#include "pipelines/link/guard_protocol.h"
#include "pipelines/link/link_layout.h"
#include "platform/memory/mapping.h"
#include "platform/memory/segment_directory.h"
#include "platform/rendezvous/connection.h"
#include "platform/wait/doorbell.h"

namespace slipring {

// How long a broker may take to answer; it bounds an attempt to attach, and decides nothing else.
inline constexpr std::uint64_t kGuardAnswerNs = 30'000'000'000;

// What a role's holder has in hand.
struct GuardedHold;

class GuardedEnd {
 public:
  // Lays the role down, unless the process dies first.  The end's own memory must be unmapped.
  ~GuardedEnd();
  GuardedEnd(const GuardedEnd&) = delete;
  GuardedEnd& operator=(const GuardedEnd&) = delete;

  // Asks for a role and takes it.  A board has no reader.  Of a lane set, a writer takes kAnyLane,
  // and its reader lane 0 before the others.  Errors: kNotFound (os_errno ENOENT: no
  // guarded link of that name; ECONNREFUSED: its broker is gone), kBusy (a living holder; its pid
  // in `found`; os_errno EDQUOT: our share of a set's lanes is used up), kNoSpace (the free lanes
  // hold unread messages), kPermission (not for us), kClosed (the broker died meanwhile),
  // kCorruptPeer, and as make_sealed_memory().
  static Result<GuardedHold> take_role(const SegmentDirectory& directory, std::string_view name,
                                       Role role, MemoryLock memory_lock,
                                       std::uint32_t lane = 0) noexcept;

  // Whether the other role's memory has been replaced.  One load.
  [[nodiscard]] bool has_news() const noexcept {
    return seat().news_count.load(std::memory_order_acquire) !=
           news_seen_;  // guard.B pairs with guard.A
  }
  // There is news, or some that could not be shown yet.
  [[nodiscard]] bool is_behind() const noexcept { return has_news() || pending_memory_.is_open(); }
  // Shows the other role's new memory in `peer`, if there is any; whether it did.
  bool take_news(Mapping& peer) noexcept;

  // The writer of a broadcast link: the next subscriber's page that the broker has given us, if
  // there is one; to be acknowledged once it is looked at.
  struct SubscriberPage {
    std::uint32_t place;  // below kSubscriberPlaces
    std::uint32_t generation;
    Mapping page;
  };
  [[nodiscard]] std::optional<SubscriberPage> next_subscriber() noexcept;
  void acknowledge(const SubscriberPage& shown) noexcept;
  // Somebody may sleep whose page we do not look at.  One load.
  [[nodiscard]] bool must_ring() const noexcept {
    return seat().must_ring.load(std::memory_order_acquire) != 0;  // guard.F pairs with guard.E
  }

  [[nodiscard]] const ControlPage& control_page() const noexcept {
    return reinterpret_cast<const GuardPage*>(page_.bytes().data())[lane_].control;
  }

  // Who wrote what is shown in the other role's memory.
  [[nodiscard]] const LinkPeer& peer() const noexcept { return peer_; }
  // Whether a living process holds the other role, as far as the broker has noticed.
  [[nodiscard]] bool is_peer_held() const noexcept {
    // relaxed: what is shown is never ahead of the kernel.
    return shown(other_role(role_)).is_held.load(std::memory_order_relaxed) != 0;
  }
  // The broker is gone: the other role has nobody new.
  [[nodiscard]] bool is_orphaned() const noexcept { return connection_.has_ended(); }
  // How well our own memory is protected.
  [[nodiscard]] ProtectionLevel protection() const noexcept { return protection_; }
  [[nodiscard]] std::uint32_t generation() const noexcept { return generation_; }

  // The broker rings it when there is news.
  [[nodiscard]] WaitPoint news_point() noexcept {
    return {&seat().news_count, &seat().never_registered, &armed_};
  }
  // Readable when there is news, for poll and epoll.
  [[nodiscard]] int news_fd() const noexcept { return connection_.fd(); }

 private:
  GuardedEnd(Connection connection, Mapping page, Role role, std::uint32_t lane) noexcept
      : connection_(std::move(connection)), page_(std::move(page)), role_(role), lane_(lane) {}
  [[nodiscard]] const GuardSeat& shown(Role role) const noexcept {
    return reinterpret_cast<const GuardPage*>(page_.bytes().data())[lane_].seats[seat_of(role)];
  }
  [[nodiscard]] const GuardSeat& seat() const noexcept { return shown(role_); }
  Status hand_in(GuardedHold& hold, const GuardGrant& grant, int predecessor_fd,
                 MemoryLock memory_lock, const std::string& shown_name) noexcept;
  Status await_accepted(Packet& packet, std::uint64_t deadline_ns) noexcept;
  void keep_news(Packet& packet) noexcept;
  bool show(const GuardNews& news, const Descriptor& memory, Mapping& peer) noexcept;

  Connection connection_;
  Mapping page_;
  Role role_;
  std::uint32_t lane_;
  LinkPeer peer_;
  ProtectionLevel protection_ = ProtectionLevel::kNone;
  std::uint32_t generation_ = 0;
  std::uint32_t news_seen_ = 0;
  // Of news.  Never required: both memories are held for a moment, and a limit that had room for
  // one must not part the ends.
  MemoryLock memory_lock_ = MemoryLock::kTry;
  std::atomic<std::uint32_t> armed_{0};  // for Arming; the broker rings always
  // News that could not be shown for want of memory, to be tried again.
  Descriptor pending_memory_;
  GuardNews pending_{};
};

struct GuardedHold {
  LinkShape shape;
  LinkParts parts;
  std::uint32_t lane = 0;
  std::unique_ptr<GuardedEnd> end;  // outlives the mappings
  Mapping own;
  Mapping peer;  // empty for a board
};

// The address leads to no guarded link that could be attached to: there is none of that name, or
// its broker is gone.
[[nodiscard]] inline bool is_no_rendezvous(const Error& error) noexcept {
  return error.code == ErrorCode::kNotFound || error.code == ErrorCode::kInvalidArgument;
}

// How much of the writer's memory an observer maps.
enum class ViewDepth : bool { kPages, kRing };

// What an observer sees: of a lane set, of one lane.  One thread.
class GuardedView {
 public:
  // Errors: as GuardedEnd::take_role().
  static Result<std::unique_ptr<GuardedView>> attach(const SegmentDirectory& directory,
                                                     std::string_view name) noexcept;
  // Of all lanes, by one connection; of a link of one writer, or a board, one view.  Errors: as
  // attach().
  static Result<std::vector<std::unique_ptr<GuardedView>>> attach_lanes(
      const SegmentDirectory& directory, std::string_view name,
      ViewDepth depth = ViewDepth::kPages) noexcept;
  // From the broker's own hands: the page and the roles' memory, whose descriptors are borrowed.
  // Errors: as Mapping::map().
  static Result<std::unique_ptr<GuardedView>> make(const GuardGrant& grant,
                                                   std::span<const int> descriptors,
                                                   ViewDepth depth = ViewDepth::kPages) noexcept;

  // Asks the broker to have the reader drop what is queued.  Errors: kPermission, kBusy (it does
  // not answer), kInvalidArgument (of a board), and as Connection::connect().
  static Status abort(const SegmentDirectory& directory, std::string_view name) noexcept;

  // Looks for newer memory; what is not there yet comes with a later look.
  void refresh() noexcept;
  // For a view that its broker made: shows what the broker has now.
  void refresh(const GuardGrant& grant, std::span<const int> descriptors) noexcept;
  // The memory that is current is not the one shown.
  [[nodiscard]] bool is_old() const noexcept;

  [[nodiscard]] const LinkShape& shape() const noexcept { return shape_; }
  [[nodiscard]] const LinkParts& parts() const noexcept { return parts_; }
  [[nodiscard]] std::uint64_t created_ns() const noexcept { return created_ns_; }
  [[nodiscard]] bool is_board() const noexcept { return shape_.kind == SegmentKind::kBoard; }
  [[nodiscard]] bool is_broadcast() const noexcept {
    return shape_.kind == SegmentKind::kBroadcastLink;
  }
  [[nodiscard]] std::uint32_t lane() const noexcept { return lane_; }
  [[nodiscard]] const ControlPage& control_page() const noexcept {
    return reinterpret_cast<const GuardPage*>(page_.bytes().data())[lane_].control;
  }
  // The role's memory; the writer's up to the ring, or with it.
  [[nodiscard]] const Mapping& region(Role role) const noexcept { return regions_[seat_of(role)]; }
  [[nodiscard]] const GuardSeat& seat(Role role) const noexcept {
    return reinterpret_cast<const GuardPage*>(page_.bytes().data())[lane_].seats[seat_of(role)];
  }
  // Of the memory that region() shows.
  [[nodiscard]] std::uint32_t generation(Role role) const noexcept {
    return generations_[seat_of(role)];
  }

 private:
  // The views of a set's lanes share it; one question at a time is on its way.
  struct Line {
    std::optional<Connection> connection;
    std::optional<std::uint32_t> asked_lane;
  };

  GuardedView() = default;
  Status take(const GuardGrant& grant, std::span<const int> descriptors) noexcept;

  std::shared_ptr<Line> line_;
  ViewDepth depth_ = ViewDepth::kPages;
  std::uint32_t lane_ = 0;
  LinkShape shape_;
  LinkParts parts_;
  std::uint64_t created_ns_ = 0;
  Mapping page_;
  Mapping regions_[2];
  std::uint32_t generations_[2] = {0, 0};
};

}  // namespace slipring

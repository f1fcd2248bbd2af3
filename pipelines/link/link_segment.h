// A link's segment: made, opened, and taken hold of by role.
//
// Crash.  A role belongs to whoever holds its certificate (platform/process/certificate.h); a
// successor takes over the pages as they are and counts one incarnation more.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/error/result.h"
#include "pipelines/link/guarded_end.h"
#include "pipelines/link/link_layout.h"
#include "platform/memory/mapping.h"
#include "platform/memory/segment_directory.h"
#include "platform/memory/segment_file.h"
#include "platform/process/certificate.h"

namespace slipring {

// Makes a link that nobody is attached to; its memory is there from now on.
// Errors: as validate_shape() and NewSegment (kExists, kNoSpace, kPermission, kInvalidArgument, …).
Status create_link(const SegmentDirectory& directory, std::string_view name, const LinkShape& shape,
                   const SegmentOptions& options = {}) noexcept;

// Makes a segment of any kind from its header: fills in what only the creator knows, and publishes.
// Errors: as NewSegment.
Status create_segment(const SegmentDirectory& directory, std::string_view name,
                      SegmentHeader header, const SegmentOptions& options) noexcept;

// Reads and validates a segment's header.  Errors: kNotFound, kPermission, kVersion, kCorruptPeer.
Result<SegmentHeader> read_header(const SegmentFile& file) noexcept;

// One role's hold on a link: what makes it ours (the role's certificate, or a guarded link's
// grant), its own region read-write, the other's read-only.  Move-only; addresses stay.
struct LinkHold {
  LinkShape shape;
  LinkParts parts;
  std::uint32_t lane = 0;                    // of a set
  std::shared_ptr<Certificate> certificate;  // of a named link; one for all that a set's reader has
  std::unique_ptr<GuardedEnd> guard;         // of a guarded one
  Mapping own;
  Mapping peer;
  Mapping control;  // of a named link; a guarded one has its broker's page

  [[nodiscard]] const ControlPage& control_page() const noexcept {
    return guard ? guard->control_page()
                 : reinterpret_cast<const ControlPage*>(control.bytes().data())[lane];
  }
};

// Takes a role of the guarded link of that name or, where there is none, of the named one.  The
// writer of a lane set gets a lane that nobody living holds and in which no mail is left unread.
// Errors: kBusy with the holder's pid in `found` (0: all lanes of a set are held); kNoSpace (the
// lanes that are free, so many as `found` says, have mail that nobody has read); kVersion,
// kCorruptPeer, kLockLimit, kNotFound, …
Result<LinkHold> take_role(const SegmentDirectory& directory, std::string_view name, Role role,
                           MemoryLock memory_lock) noexcept;

// Takes the reading role of a lane set: of every lane.  Errors: as take_role().
Result<std::vector<LinkHold>> take_lanes(const SegmentDirectory& directory, std::string_view name,
                                         MemoryLock memory_lock) noexcept;

// Removes a named lane set with LinkShape::goes_when_idle that nobody uses: all of its roles are
// free, and all mail is read.  Answers whether it did.  Every role is held meanwhile, and none of a
// set without a name is given (kNotFound): nobody sends into a set that goes.  So whoever attaches
// at this moment may find every role taken by us.  Requires: our own ends are gone.
// Errors: kPermission, kSystem, kCorruptPeer.
Result<bool> remove_if_idle(const SegmentDirectory& directory, std::string_view name) noexcept;

// Removes a named link of one writer of which nothing came: nobody has a role, nothing was ever
// published, and no writer said that this is the end.  Answers whether it did; false also when the
// name means another segment than `inode` by now.  Every role is held meanwhile, as above.
// Requires: our own end is gone.  Errors: as above.
Result<bool> remove_if_untouched(const SegmentDirectory& directory, std::string_view name,
                                 std::uint64_t inode) noexcept;

// Who holds the other end's role of a named link now, by its certificate.  Asks the kernel.
// Errors: as LockFile::probe().
Result<Probe> probe_peer(const LinkHold& hold) noexcept;

// Sleeps until nobody holds the role any more, its holder having died or laid it down: for a
// successor that stands by, which then attaches.  Of several one is quicker, and the others get
// kBusy from attach() and wait again.
// Errors: kBusy at the deadline, with the holder's pid in `found`; as SegmentFile::open().
Status wait_for_role(const SegmentDirectory& directory, std::string_view name, Role role,
                     std::uint64_t deadline_ns) noexcept;

[[nodiscard]] inline EndPage& end_page(Mapping& region) noexcept {
  return *reinterpret_cast<EndPage*>(region.writable_bytes().data() + kEndPageOffset);
}
[[nodiscard]] inline const EndPage& end_page(const Mapping& region) noexcept {
  return *reinterpret_cast<const EndPage*>(region.bytes().data() + kEndPageOffset);
}

// Adds to a counter that only the caller's end writes.  relaxed: observers need no order.
inline void count(std::atomic<std::uint64_t>& counter, std::uint64_t more = 1) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
}

// Marks the own page as attached.  relaxed: what a peer does with them is only to show them; the
// closed state is stored elsewhere, with release.
void open_end(EndPage& own, bool is_locked) noexcept;

}  // namespace slipring

// The writing end of a broadcast link: every message to every reader that has joined.
//
// Protocol.  core/ring/broadcast_ring.h in a named segment, with doorbells and certificates.  The
// policy, chosen at create, says what happens when a reader does not keep up: its messages are
// overwritten and it is told how many (overwrite), the writer waits (block), or it is put out and
// told how many it lost (evict).
//
// Sleepers.  A message costs a look at every place that has ever been held, and at one more
// (used_places.h).
//
// Dead readers.  Only block makes anybody wait for them: drop_dead_readers() asks the certificates,
// and frees the writer of those, and only those, whom the kernel certifies dead.  To be called when
// a message has been blocked for a while.  One that writes impossible values is excluded as soon as
// it is met, and waited for no longer.
//
// Guarded.  The memory is this end's own, sealed against everybody else, and readers keep their
// cursors to themselves (GUARD.md): there is only overwrite, and nobody is waited for.  A message
// rings if a reader says, on a page of its own, that it sleeps; and always while the broker says
// that there may be one whose page this end does not look at.
//
// Crash.  A successor goes on behind what was published; the message that its predecessor was
// writing never existed.  Readers notice nothing.
//
// One thread at a time.  Nothing is allocated after attach().
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/error/result.h"
#include "core/ring/broadcast_ring.h"
#include "core/ring/transfer.h"
#include "pipelines/link/broadcast_layout.h"
#include "pipelines/link/guarded_end.h"
#include "pipelines/link/used_places.h"
#include "platform/memory/mapping.h"
#include "platform/process/certificate.h"
#include "platform/wait/doorbell.h"

namespace slipring {

class BroadcastSender {
 public:
  // Takes the writing role, of a fresh link or of a dead predecessor.  Errors: kBusy (a living
  // writer; its pid in `found`), kVersion (another kind of link), kNotFound, kCorruptPeer,
  // kLockLimit, kPermission, kSystem.
  static Result<BroadcastSender> attach(const SegmentDirectory& directory, std::string_view name,
                                        MemoryLock memory_lock = MemoryLock::kTry) noexcept;

  // Copies the message in, publishes it, and wakes the readers that sleep.  kBlocked under block
  // only; never kCorruptPeer.  Requires: message.size() <= max_message_bytes().
  // Memory ordering: what happened before is visible to readers that take the message.
  [[nodiscard]] Transfer try_send(std::span<const std::byte> message) noexcept;
  // Looks for room: after kDone the next try_send() finds it.  Otherwise kBlocked, as that.
  [[nodiscard]] Transfer try_make_room() noexcept;
  // How many messages find room now, as the readers' pages say; a hint, and only under block less
  // than all.
  [[nodiscard]] std::uint64_t room() const noexcept;
  // What lies before `position` will never come, because we were never given it: every reader that
  // has joined counts it as lost.  One store; waits for nobody.  Requires: position() <= position <
  // 2^62.
  void pass_over_to(std::uint64_t position) noexcept;
  // Whether try_send() would not answer kBlocked.  Changes nothing.
  [[nodiscard]] bool has_space() const noexcept { return ring_->has_space(); }
  // What to sleep on until a reader gives space back; valid until the next call.
  [[nodiscard]] std::span<const WaitPoint> space_points() noexcept { return points_; }

  // Waits no longer for readers that are certified dead.  Answers how many those were.  A successor
  // of one of them finds itself put out, and is told what it lost.  Asks the kernel once a place.
  // Errors: kSystem.
  Result<std::uint32_t> drop_dead_readers() noexcept;

  // What has been published is no longer wanted; readers drop it, and do not count it as lost.
  void abort_published() noexcept;
  // Finished for good: readers see the end once they have read everything.
  void close() noexcept;

  // Readers that have joined, as they say themselves.
  [[nodiscard]] std::uint32_t count_members() const noexcept;
  // Places whose holder wrote impossible values, one bit each.
  [[nodiscard]] std::uint32_t excluded_places() const noexcept { return excluded_; }
  [[nodiscard]] std::uint64_t put_out_count() const noexcept { return ring_->put_out_count(); }

  [[nodiscard]] std::uint64_t position() const noexcept { return ring_->position(); }
  [[nodiscard]] std::uint32_t max_message_bytes() const noexcept { return shape_.message_bytes; }
  [[nodiscard]] const BroadcastShape& shape() const noexcept { return shape_; }
  [[nodiscard]] std::uint32_t incarnation() const noexcept;
  [[nodiscard]] bool is_locked() const noexcept { return own_.is_locked(); }

 private:
  BroadcastSender(OpenBroadcast link, Certificate certificate, Mapping own,
                  Mapping readers) noexcept;
  BroadcastSender(GuardedHold hold, Mapping nobody) noexcept;
  static Result<BroadcastSender> attach_named(const SegmentDirectory& directory,
                                              std::string_view name,
                                              MemoryLock memory_lock) noexcept;
  static Result<BroadcastSender> attach_guarded(GuardedHold hold) noexcept;
  Status open() noexcept;
  void ring_sleepers() noexcept;
  void show_subscribers() noexcept;
  Status attach_ring() noexcept;
  [[nodiscard]] EndPage& end() const noexcept;
  [[nodiscard]] const EndPage& reader_end(std::uint32_t place) const noexcept;
  [[nodiscard]] const BroadcastReaderPage& reader(std::uint32_t place) const noexcept;

  [[nodiscard]] bool is_waited_for(std::uint32_t place) const noexcept;

  std::optional<SegmentFile> file_;  // of a named link, as its certificate
  BroadcastShape shape_;
  BroadcastParts parts_;
  std::optional<Certificate> certificate_;
  std::unique_ptr<GuardedEnd> guard_;  // of a guarded one
  Mapping own_;
  Mapping readers_;  // of a guarded one: of nobody
  std::optional<BroadcastWriter> ring_;
  std::vector<Doorbell> doorbells_;  // one a place, on one bell
  UsedPlaces used_places_;           // whose doorbells are looked at
  // Of a guarded link: where its readers say that they sleep, by place.
  struct Subscriber {
    Mapping page;
    std::optional<Doorbell> doorbell;
  };
  std::vector<Subscriber> subscribers_;
  std::vector<WaitPoint> points_;
  std::vector<std::byte> slot_;  // a message with its header, before it goes in
  std::uint32_t excluded_ = 0;
};

}  // namespace slipring

// A reading end of a broadcast link.
//
// Protocol.  A reader takes a place of the link (there are reader_count of them, each with a lock
// of its own) and joins there: at the newest message, the next to be published, or at the oldest
// that is still held.  What it is owed from then on and does not get is counted exactly: each
// message says how many were lost in front of it, and lost_count() how many in all.  Put out for
// being too far behind (evict), it joins again by itself, at the oldest message held.
//
// Delivery.  Under block a message is finished by release(): what a reader had taken when it died
// comes again, marked, to the successor that resumes its place.  Under overwrite and evict it is
// finished as it is taken, since the writer may overwrite it at any moment.
//
// Places.  A newcomer takes one that nobody holds and whose last holder left, or never came; only
// if there is none, one of a dead reader, whose membership ends with that.  Who wants to go on
// where a dead reader stopped, resumes that place by its number.
//
// The writer rings for the places up to the lowest that nobody has ever held (used_places.h).  A
// reader above that one, which happens when newcomers come at once, or choose their places, sleeps
// for moments only, until it has been held as well.
//
// Guarded.  The writer's memory is its own, and read-only here; a reader's cursor is in memory that
// nobody else sees, and on a page of its own it says that it sleeps (GUARD.md).  There are no
// places, only overwrite, and no redelivery.  When a writer's successor comes, its memory is shown
// in place of the old, and reading goes on behind what was read; where the old one wrote nonsense,
// it begins anew, at the oldest message held.
//
// Crash.  A dead reader's place stays as it was until a successor resumes it, a newcomer needs it,
// or the writer drops it (BroadcastSender::drop_dead_readers()).
//
// One thread at a time.  Nothing is allocated after attach().
#pragma once

#include <algorithm>
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
#include "pipelines/link/guarded_subscription.h"
#include "platform/memory/mapping.h"
#include "platform/process/certificate.h"
#include "platform/wait/doorbell.h"

namespace slipring {

struct BroadcastReadOptions {
  BroadcastJoin from = BroadcastJoin::kNewest;
  // To go on where the last holder of this place stopped, if it died there; otherwise it joins.
  std::optional<std::uint32_t> resumed_place = std::nullopt;
  MemoryLock memory_lock = MemoryLock::kTry;
  // Whoever joins is owed all that was ever published: what is no longer held counts as lost.
  bool is_owed_all = false;
};

// A message, copied out of the ring; valid until the next try_receive().
struct BroadcastMessage {
  std::span<const std::byte> bytes;
  std::uint64_t position = 0;
  std::uint64_t lost = 0;    // messages that we were owed between the one before and this one
  std::uint32_t writer = 0;  // the incarnation that published it; look_at_publisher() knows more
  bool redelivered = false;  // a predecessor had taken it and not finished it
  bool aborted = false;      // the writer no longer wants it
};

class BroadcastReceiver {
 public:
  // Errors: kBusy (all places are held, `wanted` of them; or the one to be resumed is, by the
  // process `found`), kVersion (another kind of link), kInvalidArgument (no such place), kNotFound,
  // kCorruptPeer, kLockLimit, kPermission, kSystem.
  static Result<BroadcastReceiver> attach(const SegmentDirectory& directory, std::string_view name,
                                          const BroadcastReadOptions& options = {}) noexcept;

  // The next message.  kBlocked when there is none.  kCorruptPeer for good, when the writer wrote
  // what no correct one writes; of a guarded link until another one comes.
  [[nodiscard]] Transfer try_receive(BroadcastMessage& message) noexcept;
  // Finishes the message and all before it.
  void release(const BroadcastMessage& message) noexcept;

  // Goes on at `position`, back or forward, finishing all before it: nothing of that counts as
  // lost, and what is not there any more is, by the next try_receive().  False if nobody has come
  // so far.
  [[nodiscard]] bool go_to(std::uint64_t position) noexcept;
  // First position still wanted, as the writer says; 0 before its first abort.
  [[nodiscard]] std::uint64_t abort_before() const noexcept { return ring_->abort_before(); }
  // Of a guarded link: which of the streams that began there is read; 0 of a named one, whose
  // positions never begin anew.
  [[nodiscard]] std::uint32_t stream() const noexcept { return guard_ ? std::max(stream_, 1U) : 0; }

  // Gives the membership up: the writer waits for us no longer.  Done by itself when the end goes,
  // but not when its process dies.
  void leave() noexcept;

  // Whether try_receive() might not answer kBlocked.  Changes nothing.
  [[nodiscard]] bool has_message() const noexcept;
  // The writer has closed and everything has been looked at.
  [[nodiscard]] bool is_finished() const noexcept;
  // There has been a writer, and it has finished for good.
  [[nodiscard]] bool is_writer_closed() const noexcept;
  // Whether a living process writes.  Asks the kernel, or a guarded link's broker what it has
  // noticed.  Errors: kSystem.
  [[nodiscard]] Result<Probe> probe_writer() const noexcept;
  // Who writes a guarded link, by the kernel's word; otherwise unknown.
  [[nodiscard]] LinkPeer sender() const noexcept { return guard_ ? guard_->sender() : LinkPeer{}; }
  // Whose a message is whose `writer` is `incarnation`: on a named link its own word, but for the
  // process that writes now, which the kernel confirms (is_known); of a writer that eight have
  // followed nothing but the incarnation.  Of a guarded link: sender().
  [[nodiscard]] LinkPeer look_at_publisher(std::uint32_t incarnation) const noexcept;
  // Writers so far.
  [[nodiscard]] std::uint32_t writer_incarnation() const noexcept;
  // What to sleep on until the writer publishes or closes.
  [[nodiscard]] WaitPoint message_point() noexcept;
  // And until the writer is replaced; nothing on a named link, where that is no news.
  [[nodiscard]] std::optional<WaitPoint> news_point() noexcept;

  // Every message that we were owed and did not get; since attach(), or, in a place that was
  // resumed, its dead holder's as well.
  [[nodiscard]] std::uint64_t lost_count() const noexcept;
  [[nodiscard]] std::uint64_t evicted_count() const noexcept { return evicted_count_; }
  [[nodiscard]] bool is_guarded() const noexcept { return guard_ != nullptr; }
  [[nodiscard]] std::uint32_t place() const noexcept { return place_; }
  [[nodiscard]] std::uint64_t position() const noexcept { return ring_->position(); }
  [[nodiscard]] const BroadcastShape& shape() const noexcept { return shape_; }
  [[nodiscard]] bool is_locked() const noexcept { return own_.is_locked() && writer_.is_locked(); }

  BroadcastReceiver(BroadcastReceiver&& other) noexcept;
  BroadcastReceiver& operator=(BroadcastReceiver&&) = delete;
  BroadcastReceiver(const BroadcastReceiver&) = delete;
  ~BroadcastReceiver();

 private:
  BroadcastReceiver(const OpenBroadcast& link, std::uint32_t place, Certificate certificate,
                    Mapping own, Mapping writer) noexcept;
  BroadcastReceiver(GuardedSubscription::Taken link, Mapping own) noexcept;
  static Result<BroadcastReceiver> attach_named(const SegmentDirectory& directory,
                                                std::string_view name,
                                                const BroadcastReadOptions& options) noexcept;
  static Result<BroadcastReceiver> attach_guarded(GuardedSubscription::Taken link,
                                                  const BroadcastReadOptions& options) noexcept;
  static Result<Certificate> take_place(const OpenBroadcast& link,
                                        const BroadcastReadOptions& options) noexcept;
  Status attach_ring(const BroadcastReadOptions& options) noexcept;
  [[nodiscard]] EndPage& end() const noexcept;
  [[nodiscard]] const EndPage& writer_end() const noexcept;
  [[nodiscard]] Reception take(BroadcastView& view) noexcept;
  [[nodiscard]] bool take_out(const BroadcastView& view, BroadcastMessage& message) noexcept;
  [[nodiscard]] Transfer receive(BroadcastMessage& message) noexcept;
  [[nodiscard]] bool take_news() noexcept;
  [[nodiscard]] std::uint32_t stream_shown() const noexcept;
  void begin_anew() noexcept;
  void ring_for_credit() noexcept;
  [[nodiscard]] bool is_looked_at() noexcept;

  BroadcastShape shape_;
  BroadcastParts parts_;
  std::uint32_t place_;
  std::optional<Certificate> certificate_;      // of a named link
  std::unique_ptr<GuardedSubscription> guard_;  // of a guarded one
  Mapping own_;
  Mapping writer_;
  Mapping places_below_;  // of a named link, until all of them have been held
  std::optional<BroadcastReader> ring_;
  std::optional<Doorbell> doorbell_;
  std::vector<std::byte> slot_;
  std::uint64_t lost_before_us_ = 0;
  std::uint64_t lost_in_hand_ = 0;  // overwritten between being found and being copied
  std::uint64_t untold_lost_ = 0;   // of these, to be told with the next message
  std::uint64_t evicted_count_ = 0;
  std::uint64_t rung_credit_ = 0;
  std::uint32_t stream_ = 0;  // of a guarded link: the generation that it began with
  bool is_corrupt_ = false;   // stays for that writer: corrupt once, it is not believed again
};

}  // namespace slipring

// The consuming end of a link: ring, doorbell, certificate and, if the link has one, buffer pool.
//
// One thread at a time.  Nothing is allocated after attach().  Ordering: as link_writer.h.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "core/error/result.h"
#include "core/ring/transfer.h"
#include "pipelines/link/lane_words.h"
#include "pipelines/link/link_end.h"
#include "pipelines/link/link_segment.h"
#include "platform/wait/doorbell.h"

namespace slipring {

// A message in place, in memory that its writer could still change: read every word once.
struct Message {
  std::span<const std::byte> bytes;  // a slot link gives the whole slot
  bool redelivered = false;          // a predecessor had taken it and not finished it
  bool aborted = false;              // the writer no longer wants it
  std::uint64_t position = 0;        // of the ring; for release()
  std::uint64_t end_position = 0;
  std::uint32_t number = 0;  // messages before it, modulo 2^32; for release()
};

class LinkReader {
 public:
  // Takes the reading role, of a fresh link or of a dead predecessor, whose unfinished messages are
  // delivered again.  Errors: as LinkWriter::attach().
  static Result<LinkReader> attach(const SegmentDirectory& directory, std::string_view name,
                                   MemoryLock memory_lock = MemoryLock::kTry,
                                   BellOrder order = BellOrder::kMembarrier) noexcept;

  // Of a role that was taken already.  Errors: kCorruptPeer.
  static Result<LinkReader> attach(LinkHold hold,
                                   BellOrder order = BellOrder::kMembarrier) noexcept;
  // The same for a lane of a guarded set, except that what its writer left does not matter: where
  // that is impossible, or was given up by a predecessor, is_corrupt() says so.
  static Result<LinkReader> attach_lane(LinkHold hold) noexcept;

  // try_peek() answers kCorruptPeer from now on, but for rejoin().
  [[nodiscard]] bool is_corrupt() const noexcept { return corrupt_; }
  // Of a corrupt end of a guarded link: gives the writer up as soon as nothing of it is held, so
  // that the broker may let another one begin where we stand, and joins that one when it comes;
  // kDone then, kCorruptPeer when it is no better, and kBlocked while there is none.
  [[nodiscard]] Transfer rejoin() noexcept;
  // rejoin() might not answer kBlocked.  One load.
  [[nodiscard]] bool has_successor() const noexcept { return end_.is_behind(); }

  // The next message; several may be held.  kBlocked when there is none.  Looks at the control lane
  // first: what a command has dropped since is never handed out.
  [[nodiscard]] Transfer try_peek(Message& message) noexcept;

  // Finishes `message` and all before it; gives space back, and wakes a waiting writer when that is
  // worth it.  On a link with a pool, give the buffer back first.
  void release(const Message& message) noexcept;

  // Drops all that the writer has aborted and that has not been handed out, in one step; on a link
  // with a pool, its buffers go back.
  void skip_aborted() noexcept;

  // Drops at once what a command in the control lane names.  try_peek() does it by itself; this is
  // for a reader that is busy with something else.  What is held stays held.
  void obey_commands() noexcept;
  // Something was dropped behind what is held.  Its room comes back when that is released, and no
  // sooner; so whoever holds messages until more come releases them now, since the writer may have
  // no room for more.
  [[nodiscard]] bool has_dropped_behind() const noexcept { return gap_.end != 0; }
  // There is a command that has not been obeyed.  Changes nothing.
  [[nodiscard]] bool has_command() const noexcept {
    return gap_.end == 0 && end_.control().has_command();
  }
  // How often try_peek() looks at the control lane: at every `interval`-th call, and whenever there
  // is no message; or kControlByHand.
  void set_control_interval(std::uint32_t interval) noexcept {
    end_.control().set_interval(interval);
  }
  // What to sleep on until a command comes, where that is not the wait for a message.
  [[nodiscard]] WaitPoint control_point() noexcept { return end_.control().wait_point(); }
  // For a ControlAlarm.
  [[nodiscard]] ControlWatch control_watch() const noexcept { return end_.control_watch(); }

  // Finished for good: the writer learns that nobody will read on.
  void close() noexcept { end_.close(); }

  // Whether try_peek() might not answer kBlocked.  Changes nothing.
  [[nodiscard]] bool has_message() const noexcept {
    if (corrupt_ || end_.has_news() || is_command_due()) return true;
    return slots_ ? slots_->has_message() : records_->has_message();
  }
  // The writer has aborted something that is not finished yet, held messages included.
  [[nodiscard]] bool has_abort() const noexcept { return abort_before() > done(); }
  // First position that the writer, or with kControlByHand a command, still wants, as it says
  // itself; 0 before the first abort.
  [[nodiscard]] std::uint64_t abort_before() const noexcept {
    return std::max(slots_ ? slots_->abort_before() : records_->abort_before(),
                    end_.control().abort_before());
  }
  // First position not yet finished, by predecessors neither.
  [[nodiscard]] std::uint64_t done() const noexcept {
    return slots_ ? slots_->done() : records_->done();
  }
  // The writer has finished for good; what it published before may still be there.
  [[nodiscard]] bool is_peer_closed() const noexcept { return end_.is_peer_closed(); }
  // The writer has closed and everything has been looked at.
  [[nodiscard]] bool is_finished() const noexcept;
  // What to sleep on until the writer publishes or closes.
  [[nodiscard]] WaitPoint message_point() noexcept { return end_.wait_point(); }
  // And until the writer is replaced; nothing on a named link.
  [[nodiscard]] std::optional<WaitPoint> news_point() noexcept { return end_.news_point(); }
  // As LinkWriter::look_for_news().
  void look_for_news() noexcept { static_cast<void>(end_.take_news()); }

  // Who writes, authenticated when it attached; unknown on a named link, or before anybody did.
  [[nodiscard]] LinkPeer sender() const noexcept { return end_.peer_identity(); }
  // Who holds the writing role, or held it last: on a named link by its lock, if `is_known`, and
  // otherwise as it said itself.  Asks the kernel.
  [[nodiscard]] LinkPeer look_at_writer() const noexcept { return end_.look_at_peer(); }
  // Of a lane: on whose behalf its writer writes, as it says; see lane_words.h.
  [[nodiscard]] std::optional<LaneOrigin> writer_origin() const noexcept {
    if (!is_lane_set(shape())) return std::nullopt;
    return read_origin(lane_words_of(end_.peer_bytes()));
  }
  // Whether a living process holds the writing role.  Asks the kernel, or a guarded link's broker
  // what it has noticed.  Errors: kSystem.
  [[nodiscard]] Result<bool> has_writer() const noexcept { return end_.is_peer_held(); }
  // Writers so far, as they say themselves; 0: none yet.
  [[nodiscard]] std::uint32_t writer_incarnation() const noexcept {
    return end_.peer_incarnation();
  }
  // Who made try_peek() answer kCorruptPeer; nothing before that.
  [[nodiscard]] const std::optional<LinkPeer>& offender() const noexcept { return end_.offender(); }
  // Of our own memory, from everybody else.
  [[nodiscard]] ProtectionLevel protection() const noexcept { return end_.protection(); }

  // The pool's reader; nullptr on a link without a pool.
  [[nodiscard]] PoolReader* pool() noexcept { return pool_ ? &*pool_ : nullptr; }
  // Gives a buffer back and wakes a writer that waits for one.  A handle that is not held, or that
  // a predecessor had given back already, is left alone.
  void give_back(const BufferHandle& handle) noexcept;

  [[nodiscard]] const LinkShape& shape() const noexcept { return end_.shape(); }
  [[nodiscard]] std::uint32_t incarnation() const noexcept { return end_.incarnation(); }
  // How many have held the other end so far, as they say themselves.
  [[nodiscard]] std::uint32_t peer_incarnation() const noexcept { return end_.peer_incarnation(); }
  [[nodiscard]] bool is_locked() const noexcept { return end_.is_locked(); }
  // For an other end that sleeps in epoll: its eventfd, which every ring signals; borrowed.
  void attach_event(int event_fd) noexcept { end_.attach_event(event_fd); }
  // For whoever waits on this end, perhaps together with others.
  void count_sleep(std::uint64_t more = 1) noexcept { end_.count_sleep(more); }

 private:
  LinkReader(LinkHold hold, BellOrder order) noexcept : end_(std::move(hold), order) {}
  Status attach_ring() noexcept;
  Status attach_parts() noexcept;
  void give_up() noexcept;
  Status attach_pool() noexcept;
  [[nodiscard]] std::uint64_t credit_given() const noexcept {
    return slots_ ? slots_->credit_given() : records_->credit_given();
  }
  // Where messages were passed over while some before them are held: they are finished with those.
  struct Gap {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;  // 0: there is none
    std::uint32_t count = 0;
  };

  [[nodiscard]] Transfer look(Message& message) noexcept;
  [[nodiscard]] std::uint64_t next() const noexcept {
    return slots_ ? slots_->position() : records_->position();
  }
  [[nodiscard]] bool is_command_due() const noexcept {
    return gap_.end == 0 && end_.control().is_due_when_idle();
  }
  void restore_number() noexcept;
  [[nodiscard]] LinkBoundary writer_abort() const noexcept;
  [[nodiscard]] bool drop_before(const LinkBoundary& boundary) noexcept;
  [[nodiscard]] std::uint64_t pass_over(std::uint64_t position) noexcept;
  void finish(std::uint64_t end, std::uint32_t number) noexcept;
  void ring_for_credit() noexcept;

  LinkEnd end_;
  std::optional<SlotConsumer> slots_;      // exactly one of the two holds a value, or none of an
  std::optional<RecordConsumer> records_;  // end that is corrupt from its beginning
  std::optional<PoolReader> pool_;
  std::uint64_t rung_credit_ = 0;
  std::uint32_t number_ = 0;           // of the next message
  std::uint32_t finished_number_ = 0;  // messages before done()
  std::size_t free_mark_ = 0;          // the one of the two that does not hold
  Gap gap_;
  bool corrupt_ = false;  // stays for that peer: corrupt once, it is not believed again
};

}  // namespace slipring

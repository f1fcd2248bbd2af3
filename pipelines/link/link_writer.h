// The producing end of a link: ring, doorbell, certificate and, if the link has one, buffer pool.
//
// One thread at a time.  Nothing is allocated after attach().
#pragma once

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

class LinkWriter {
 public:
  // Takes the writing role, of a fresh link or of a dead predecessor: what it had published stays,
  // what it had not vanishes, and pool buffers that it had lent and never sent come back.  Of a
  // lane set (lane_reader.h) it takes a lane that nobody living holds and whose messages are read.
  // `order`: who pays for the order of publishing and sleeping (platform/wait/doorbell.h).
  // Errors: kBusy (a living writer; its pid in `found`, or 0: every lane has one), kNoSpace (the
  // free lanes hold unread messages), kNotFound, kVersion, kCorruptPeer, kLockLimit, kPermission,
  // kSystem.
  static Result<LinkWriter> attach(const SegmentDirectory& directory, std::string_view name,
                                   MemoryLock memory_lock = MemoryLock::kTry,
                                   BellOrder order = BellOrder::kMembarrier) noexcept;

  // The place for a message of at most `size_bytes`, in the ring; valid until commit() or
  // abandon().  On a slot link it is the whole slot.  Requires: size_bytes <= max_message_bytes().
  [[nodiscard]] Transfer try_reserve(std::uint64_t size_bytes,
                                     std::span<std::byte>& message) noexcept;

  // Publishes the message with its final size (record links; a slot is always sent whole) and wakes
  // a sleeping reader.  Memory ordering: what was written before is visible to the reader.
  void commit(std::uint64_t size_bytes) noexcept;
  void abandon() noexcept;

  // Many at once: each is published as by commit(), and one wake_reader() behind the last of them
  // wakes a sleeping reader.
  void commit_quietly(std::uint64_t size_bytes) noexcept;
  void wake_reader() noexcept { end_.ring(); }

  // What has been published is no longer wanted: the reader sees it as aborted and drops it.
  void abort_published() noexcept;

  // What the reader has dropped, over all incarnations, because this end aborted it or a command
  // said so; never what it has finished.
  [[nodiscard]] DropReport drops() const noexcept { return end_.peer_drops(); }

  // Finished for good: the reader sees the end of the stream once it has read everything.
  void close() noexcept { end_.close(); }

  // Whether try_reserve(size_bytes) would not answer kBlocked.  Changes nothing.
  [[nodiscard]] bool has_space(std::uint64_t size_bytes) const noexcept;
  // The reader has finished for good: nobody will read what is written.
  [[nodiscard]] bool is_peer_closed() const noexcept { return end_.is_peer_closed(); }
  // What to sleep on until the reader gives space or buffers back.
  [[nodiscard]] WaitPoint space_point() noexcept { return end_.wait_point(); }
  // And until the reader is replaced; nothing on a named link.
  [[nodiscard]] std::optional<WaitPoint> news_point() noexcept { return end_.news_point(); }
  // Shows a replaced reader's memory, if there is any.  The end does it by itself when it is
  // blocked; before a sleep that is not for this end it is the caller's to do.
  void look_for_news() noexcept { static_cast<void>(end_.take_news()); }

  // Who reads, authenticated when it attached; unknown on a named link, or before anybody did.
  [[nodiscard]] LinkPeer receiver() const noexcept { return end_.peer_identity(); }
  // Whether a living process holds the reading role.  Asks the kernel, or a guarded link's broker
  // what it has noticed.  Errors: kSystem.
  [[nodiscard]] Result<bool> has_reader() const noexcept { return end_.is_peer_held(); }
  // Of a guarded link: its broker is gone, and no new reader can come.  Asks the kernel.
  [[nodiscard]] bool is_orphaned() const noexcept { return end_.is_orphaned(); }
  // Who holds the reading role, or held it last; as LinkReader::look_at_writer().
  [[nodiscard]] LinkPeer look_at_reader() const noexcept { return end_.look_at_peer(); }
  // All that we published below was looked at by the reader; to be believed of one that is
  // certified dead.
  [[nodiscard]] std::uint64_t taken_by_reader() const noexcept;
  // Readers so far, as they say themselves; 0: none yet.
  [[nodiscard]] std::uint32_t reader_incarnation() const noexcept {
    return end_.peer_incarnation();
  }
  // Of a lane: whose the messages are that follow, where they are not our own; see lane_words.h.
  // The first before anything of theirs is published.
  void tell_origin(std::string_view text) noexcept;
  void tell_origin_process(const LaneProcess& process) noexcept;
  [[nodiscard]] LaneProcess told_origin_process() noexcept;
  // Which lane of its set; 0 on a link of one writer.
  [[nodiscard]] std::uint32_t lane() const noexcept { return end_.lane(); }
  // The number under which LinkObserver::end_of_writer() knows us: the incarnation, and of a
  // guarded link that which the broker gave, whatever our predecessor's page says.
  [[nodiscard]] std::uint32_t attachment() const noexcept { return end_.attachment(); }
  // Who made try_reserve() answer kCorruptPeer; nothing before that.
  [[nodiscard]] const std::optional<LinkPeer>& offender() const noexcept { return end_.offender(); }
  // Of our own memory, from everybody else.
  [[nodiscard]] ProtectionLevel protection() const noexcept { return end_.protection(); }

  // Of the ring: it moves with every publication.
  [[nodiscard]] std::uint64_t position() const noexcept {
    return slots_ ? slots_->position() : records_->position();
  }
  // Of these, what the reader has finished.
  [[nodiscard]] std::uint64_t done() const noexcept {
    return slots_ ? slots_->done() : records_->done();
  }

  // The pool's owner; nullptr on a link without a pool.
  [[nodiscard]] PoolOwner* pool() noexcept { return pool_ ? &*pool_ : nullptr; }
  [[nodiscard]] const PoolOwner* pool() const noexcept { return pool_ ? &*pool_ : nullptr; }

  [[nodiscard]] const LinkShape& shape() const noexcept { return end_.shape(); }
  [[nodiscard]] std::uint64_t max_message_bytes() const noexcept;
  // 1 for a fresh link, one more with every successor.
  [[nodiscard]] std::uint32_t incarnation() const noexcept { return end_.incarnation(); }
  // How many have held the other end so far, as they say themselves.
  [[nodiscard]] std::uint32_t peer_incarnation() const noexcept { return end_.peer_incarnation(); }
  [[nodiscard]] bool is_locked() const noexcept { return end_.is_locked(); }
  // For an other end that sleeps in epoll: its eventfd, which every ring signals; borrowed.
  void attach_event(int event_fd) noexcept { end_.attach_event(event_fd); }
  // For whoever waits on this end, perhaps together with others.
  void count_sleep(std::uint64_t more = 1) noexcept { end_.count_sleep(more); }
  // Times try_reserve() answered kBlocked, over all incarnations.
  [[nodiscard]] std::uint64_t blocked_count() const noexcept;

 private:
  LinkWriter(LinkHold hold, BellOrder order) noexcept : end_(std::move(hold), order) {}
  Status attach_ring() noexcept;
  void begin_lane() noexcept;
  Status attach_pool() noexcept;
  void restore_count() noexcept;
  void show_mark() noexcept;
  [[nodiscard]] bool is_credit_used_up() const noexcept;
  [[nodiscard]] Transfer reserve(std::uint64_t size_bytes, std::span<std::byte>& message) noexcept;

  LinkEnd end_;
  std::optional<SlotProducer> slots_;      // exactly one of the two
  std::optional<RecordProducer> records_;  // holds a value
  std::optional<PoolOwner> pool_;
  std::uint32_t number_ = 0;  // messages published, modulo 2^32
  bool corrupt_ = false;      // stays: a peer that was corrupt once is not believed again
};

}  // namespace slipring

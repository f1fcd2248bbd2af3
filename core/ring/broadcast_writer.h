// The writing end of a broadcast ring.  The protocol is told in core/ring/broadcast_ring.h.
//
// What a message costs does not depend on the number of readers: the writer keeps a limit up to
// which it may write without looking, and looks at the readers' pages only there, at most once
// every time the slowest of them has moved.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/cpu/atomics.h"
#include "core/error/check.h"
#include "core/error/result.h"
#include "core/ring/broadcast_page.h"
#include "core/ring/broadcast_sight.h"
#include "core/ring/transfer.h"

namespace slipring {

// One thread at a time.
template <typename Atomics>
class BasicBroadcastWriter {
 public:
  // Takes the writing role over at the position that the memory shows.  The caller holds the role
  // (certificate of death of a predecessor, or fresh memory).  readers[i] is the page of reader i;
  // the pages, not the array, must outlive the end.
  // Errors: kInvalidArgument; kCorruptPeer when tail and the slots contradict each other.
  [[nodiscard]] static Result<BasicBroadcastWriter> attach(
      BroadcastWriterPage& own, std::byte* slots,
      std::span<const BroadcastReaderPage* const> readers,
      const BroadcastGeometry& geometry) noexcept {
    if (Status valid = broadcast_validate(geometry); !valid) return valid.error();
    if (readers.size() != geometry.reader_count) {
      return Error{ErrorCode::kInvalidArgument, 0, "not as many reader pages as readers",
                   readers.size(), geometry.reader_count};
    }
    BasicBroadcastWriter end(own, slots, readers, geometry);
    // relaxed, all: only our predecessor wrote tail and the states, and attaching ordered us after
    // it.  It may have died with tail one behind the states; the states decide.
    std::uint64_t position = Atomics::load(own.tail, std::memory_order_relaxed);
    if (position == 0) position = geometry.start_position;
    const BroadcastCut& cut = end.cut_;
    // Or have passed positions over, of which the slots say nothing.
    // relaxed: as above.
    const std::uint64_t missing = Atomics::load(own.missing_before, std::memory_order_relaxed);
    const bool has_passed = missing != 0 && missing - position - 1 < kFarthest;
    if (has_passed) position = missing;
    // relaxed: as above.
    if (Atomics::load(end.state_at(position), std::memory_order_relaxed) ==
        cut.published(position)) {
      ++position;
    }
    // relaxed: as above.
    const std::uint64_t state = Atomics::load(end.state_at(position), std::memory_order_relaxed);
    const bool is_first = position == geometry.start_position || position == missing;
    const bool may_be =
        cut.may_precede(state, position) || (missing != 0 && cut.may_linger(state, position));
    if (!may_be || position - geometry.start_position >= kFarthest ||
        (!is_first && Atomics::load(end.state_at(position - 1), std::memory_order_relaxed) !=
                          cut.published(position - 1))) {
      return Error{ErrorCode::kCorruptPeer, 0, "the slots around tail do not belong there", state,
                   position};
    }
    end.position_ = position;
    // Overwriting needs no permission; otherwise look before the first message.
    end.limit_ = geometry.policy == BroadcastPolicy::kOverwrite ? position - 1 : position;
    // broadcast.E pairs with broadcast.F
    Atomics::store(own.tail, position, std::memory_order_release);
    return end;
  }

  // Copies one message of at most slot_bytes in and publishes it.  Never kBlocked unless the policy
  // is kBlock.  kCorruptPeer is answered once for each reader whose cursor is impossible;
  // corrupt_reader() says which.  That reader then counts as one that has not moved.
  // Memory ordering: what happened before is visible to the readers that take the message.
  [[nodiscard, gnu::always_inline]] Transfer try_push(std::span<const std::byte> message) noexcept {
    check(message.size() <= slot_bytes_, "a message larger than the slot");
    if (const Transfer answer = try_make_room(); answer != Transfer::kDone) [[unlikely]] {
      return answer;
    }
    broadcast_detail::store_words<Atomics>(open(), message);
    commit();
    return Transfer::kDone;
  }

  // Looks for room, if it has to; the next try_push() then finds it.  Answers as try_push().
  [[nodiscard, gnu::always_inline]] Transfer try_make_room() noexcept {
    if (position_ == limit_) [[unlikely]]
      return look();
    return Transfer::kDone;
  }

  // The next slot to fill in place, valid until commit().  Calling it again without commit() gives
  // the same slot.  Answers as try_push().  Requires: the policy is kBlock; with the others a
  // reader may be reading the slot, and only words that both touch at once may change under it.
  [[nodiscard]] Transfer try_reserve(std::span<std::byte>& slot) noexcept {
    check(policy_ == BroadcastPolicy::kBlock, "filling in place what readers may be reading");
    if (const Transfer answer = try_make_room(); answer != Transfer::kDone) [[unlikely]] {
      return answer;
    }
    slot = {open(), slot_bytes_};
    return Transfer::kDone;
  }

  // Publishes the slot that try_reserve() gave.
  void commit() noexcept {
    // broadcast.A pairs with broadcast.B
    Atomics::store(state_at(position_), cut_.published(position_), std::memory_order_release);
    ++position_;
    // broadcast.E pairs with broadcast.F
    Atomics::store(own_->tail, position_, std::memory_order_release);
  }

  // Passes over all before `position`: no reader will ever get it, and each counts it as lost.
  // Overwrites nothing.  Requires: position() <= position, and less than 2^62 are ever published.
  void pass_over_to(std::uint64_t position) noexcept {
    check(position - position_ < kFarthest && position - cut_.start() < kFarthest,
          "passing over what is behind, or too far");
    if (position == position_) return;
    position_ = position;
    // Whom the policy protects, the next message has to ask.
    limit_ = policy_ == BroadcastPolicy::kOverwrite ? position_ - 1 : position_;
    slowest_ = kNobody;
    // broadcast.W pairs with broadcast.X
    Atomics::store(own_->missing_before, position_, std::memory_order_release);
  }

  // Whether try_push() might not answer kBlocked.  Changes nothing, so that a waiter may ask.
  [[nodiscard]] bool has_space() const noexcept {
    return position_ != limit_ || slowest_ == kNobody || slowest_has_moved();
  }

  // No longer waits for the present member in place `reader`.  For one that is certified dead and
  // is to have no successor: whoever takes its cursor over finds itself put out.
  // Without effect under kOverwrite, where the writer waits for nobody.
  // Requires: reader < reader_count.
  void drop_reader(std::uint32_t reader) noexcept {
    check(reader < reader_count_, "no such reader");
    // broadcast.J pairs with broadcast.K
    put_out(reader, Atomics::load(pages_[reader]->joined, std::memory_order_seq_cst));
    slowest_ = kNobody;
  }

  // No longer waits for anybody in place `reader`, now and after it joins again, until this end
  // goes.  For one that lies.  Requires: reader < reader_count.
  void exclude(std::uint32_t reader) noexcept {
    drop_reader(reader);
    excluded_ |= std::uint64_t{1} << reader;
  }

  // Everything published so far is no longer wanted; readers may skip it in one step.
  void abort_published() noexcept {
    // broadcast.P pairs with broadcast.Q
    Atomics::store(own_->abort_before, position_, std::memory_order_release);
  }

  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
  [[nodiscard]] BroadcastPolicy policy() const noexcept { return policy_; }
  [[nodiscard]] std::uint64_t slot_count() const noexcept { return cut_.count(); }
  [[nodiscard]] std::uint32_t slot_bytes() const noexcept { return slot_bytes_; }
  [[nodiscard]] std::uint32_t reader_count() const noexcept { return reader_count_; }
  // The reader whose cursor the last kCorruptPeer was about.
  [[nodiscard]] std::uint32_t corrupt_reader() const noexcept { return corrupt_; }
  // How often the readers' pages were gone through, and how many members were put out, by this end.
  [[nodiscard]] std::uint64_t scan_count() const noexcept { return scan_count_; }
  [[nodiscard]] std::uint64_t put_out_count() const noexcept { return put_out_count_; }

 private:
  static constexpr std::uint32_t kNobody = kMaxBroadcastReaders;
  static constexpr std::uint64_t kFarthest = kFarthestBroadcast;

  // What is believed of a reader, in private memory: a cursor moves only by values that can be.
  struct Belief {
    std::uint64_t membership = 0;  // 0: none
    std::uint64_t credit = 0;      // the last that could be
    std::uint64_t floor = 0;       // it may still want this position and all above
    bool is_reported = false;      // its lie has been answered
  };

  BasicBroadcastWriter(BroadcastWriterPage& own, std::byte* slots,
                       std::span<const BroadcastReaderPage* const> readers,
                       const BroadcastGeometry& geometry) noexcept
      : own_(&own),
        slots_(slots),
        cut_(geometry),
        slot_bytes_(geometry.slot_bytes),
        reader_count_(geometry.reader_count),
        policy_(geometry.policy),
        window_(geometry.policy == BroadcastPolicy::kEvict ? geometry.lag_limit
                                                           : geometry.slot_count) {
    for (std::size_t i = 0; i < readers.size(); ++i) pages_[i] = readers[i];
  }

  [[nodiscard]] std::atomic<std::uint64_t>& state_at(std::uint64_t position) const noexcept {
    return *reinterpret_cast<std::atomic<std::uint64_t>*>(slots_ + cut_.offset_bytes(position));
  }

  // Marks the next slot as being written, and answers where its payload goes.
  [[nodiscard]] std::byte* open() noexcept {
    std::atomic<std::uint64_t>& state = state_at(position_);
    // Release, so that who sees the mark sees also who was put out before it.
    // broadcast.V pairs with broadcast.B
    Atomics::store(state, cut_.writing(position_), std::memory_order_release);
    // broadcast.C pairs with broadcast.D
    Atomics::fence(std::memory_order_release);
    return reinterpret_cast<std::byte*>(&state) + 8;
  }

  // Whether the reader that held us up last time is no longer where it was.
  [[nodiscard]] bool slowest_has_moved() const noexcept {
    const BroadcastReaderPage& page = *pages_[slowest_];
    // relaxed: a scan follows, which reads with the orders it needs.
    return Atomics::load(page.credit, std::memory_order_relaxed) != slowest_credit_ ||
           Atomics::load(page.joined, std::memory_order_relaxed) != slowest_joined_;
  }

  // At the limit: finds out who is in the way, puts out whom the policy wants out, and moves the
  // limit.  Bounded by the number of readers.
  [[nodiscard, gnu::noinline]] Transfer look() noexcept {
    if (slowest_ != kNobody && !slowest_has_moved()) return Transfer::kBlocked;
    ++scan_count_;
    // Whoever joins without being seen below reads this position, and starts no earlier.
    // broadcast.I pairs with broadcast.L
    Atomics::store(own_->scan_at, position_, std::memory_order_seq_cst);
    std::uint64_t widest = 0;  // distance to the slowest
    slowest_ = kNobody;
    bool has_lied = false;
    for (std::uint32_t i = 0; i < reader_count_; ++i) {
      // broadcast.J pairs with broadcast.K, broadcast.M, broadcast.N
      const std::uint64_t joined = Atomics::load(pages_[i]->joined, std::memory_order_seq_cst);
      const std::uint64_t membership = broadcast_membership(joined);
      // relaxed: our own word.
      if (broadcast_member(joined) == BroadcastMember::kOut ||
          Atomics::load(own_->put_out[i], std::memory_order_relaxed) == membership) {
        beliefs_[i] = {};
        continue;
      }
      std::uint64_t credit = 0;
      has_lied |= !update_belief(i, joined, credit);
      const std::uint64_t distance = position_ - beliefs_[i].floor;
      if ((policy_ == BroadcastPolicy::kEvict && distance >= window_) ||
          (excluded_ >> i & 1) != 0) {
        put_out(i, joined);
        continue;
      }
      if (distance >= widest) {
        widest = distance;
        slowest_ = i;
        slowest_joined_ = joined;
        slowest_credit_ = credit;
      }
    }
    // Wider where positions were passed over.
    const bool is_full = widest >= window_;
    limit_ = is_full ? position_ : position_ + window_ - widest;
    if (!is_full) slowest_ = kNobody;
    if (has_lied) return Transfer::kCorruptPeer;
    return is_full ? Transfer::kBlocked : Transfer::kDone;
  }

  // Reads a member's cursor.  False when it is impossible and that has not been answered yet.
  [[nodiscard]] bool update_belief(std::uint32_t reader, std::uint64_t joined,
                                   std::uint64_t& credit) noexcept {
    Belief& belief = beliefs_[reader];
    const std::uint64_t membership = broadcast_membership(joined);
    if (belief.membership != membership) {
      // Nothing is known of a new one but that we have not overwritten what it is owed.  Where
      // members are put out its credit may be older than that: credit is given rarely.
      const std::uint64_t published = position_ - cut_.start();
      const std::uint64_t floor = position_ - (published < window_ ? published : window_);
      const bool may_be_older = policy_ == BroadcastPolicy::kEvict;
      belief = {membership, may_be_older ? cut_.start() : floor, floor, false};
    }
    const BroadcastReaderPage& page = *pages_[reader];
    // broadcast.H pairs with broadcast.G
    credit = Atomics::load(page.credit, std::memory_order_acquire);
    if (broadcast_member(joined) != BroadcastMember::kIn) return true;
    // Between the last one and our own position; anything else is impossible.
    if (position_ - credit > position_ - belief.credit) {
      const bool is_news = !belief.is_reported;
      belief.is_reported = true;
      if (is_news) corrupt_ = reader;
      return !is_news;
    }
    belief.credit = credit;
    raise_floor(belief, credit);
    if (policy_ == BroadcastPolicy::kEvict && position_ - belief.floor >= window_) {
      raise_floor(belief, done_of(page));  // nobody is put out for what it has finished
    }
    return true;
  }

  [[nodiscard]] static std::uint64_t done_of(const BroadcastReaderPage& page) noexcept {
    return Atomics::load(page.done,
                         std::memory_order_acquire);  // broadcast.S pairs with broadcast.R
  }
  void raise_floor(Belief& belief, std::uint64_t cursor) const noexcept {
    if (position_ - cursor < position_ - belief.floor) belief.floor = cursor;
  }

  // Must precede the overwriting of anything that the member is owed.
  void put_out(std::uint32_t reader, std::uint64_t joined) noexcept {
    if (broadcast_member(joined) == BroadcastMember::kOut) return;
    // broadcast.T pairs with broadcast.U
    Atomics::store(own_->put_out[reader], broadcast_membership(joined), std::memory_order_release);
    ++put_out_count_;
  }

  BroadcastWriterPage* own_;
  std::byte* slots_;
  BroadcastCut cut_;
  std::uint32_t slot_bytes_;
  std::uint32_t reader_count_;
  BroadcastPolicy policy_;
  std::uint32_t corrupt_ = 0;
  std::uint64_t window_;             // a member may be this far behind
  std::uint64_t position_ = 0;       // private: a scribbled page cannot move our writes
  std::uint64_t limit_ = 0;          // no look is needed before this position
  std::uint32_t slowest_ = kNobody;  // who blocked us last
  std::uint64_t slowest_joined_ = 0;
  std::uint64_t slowest_credit_ = 0;
  std::uint64_t excluded_ = 0;  // a bit a reader
  std::uint64_t scan_count_ = 0;
  std::uint64_t put_out_count_ = 0;
  std::array<const BroadcastReaderPage*, kMaxBroadcastReaders> pages_{};
  std::array<Belief, kMaxBroadcastReaders> beliefs_{};
};

using BroadcastWriter = BasicBroadcastWriter<StdAtomics>;

}  // namespace slipring

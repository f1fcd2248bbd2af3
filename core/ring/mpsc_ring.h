// Many producers, one consumer: a lane each, polled fairly.
//
// Protocol.  A lane is a ring with one producer (slot_ring.h, record_ring.h); nothing is shared
// between producers, so that one which is stopped or dead holds up nobody, and the lane's number
// says who sent a message.  The consumer goes round the lanes that its bells (mpsc_bell.h) name,
// taking at most `quantum` messages of a lane in turn.  It listens to the bells once a round, and
// each `scan_interval` rounds looks at every lane, rung or not. Order: first in, first out within a
// lane; between lanes only the bounds below hold (mpsc_merge.h merges by stamps).  Urgent lanes are
// looked at before every message.
//
// Invariants.  A lane with a message that was rung for is visited within two rounds: at most
// 2 * quantum messages of each other lane, and all urgent ones, go before.  A message that was not
// rung for is found within scan_interval more rounds; a try that finds nothing is a round.
//
// Lanes join and leave while others go on.  Messages of a lane that left stay in it.
//
// Crash.  All cursors live in the lanes' own pages: a successor of the consumer attaches to each
// lane and joins it here.  Its first round looks at every lane.
//
// Ordering.  The lanes' own, and mpsc.A -> mpsc.B in mpsc_bell.h.  A count is remembered before the
// lane is looked at; what is published after that look is followed by a count that differs.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

#include "core/cpu/atomics.h"
#include "core/error/check.h"
#include "core/ring/mpsc_bell.h"
#include "core/ring/transfer.h"

namespace slipring {

struct MpscPolicy {
  std::uint32_t quantum = 16;         // messages of one lane in a turn, at least 1
  std::uint32_t scan_interval = 256;  // rounds from one look at every lane to the next, at least 1
};

enum class LaneService : std::uint8_t {
  kFair,
  kUrgent,  // before all others, as long as it has messages
};

// Lane is a ring's consumer end: View, try_peek(View&), release(const View&).
// One thread at a time.  The lanes' ends belong to the caller and must outlive their stay.
template <typename Lane, typename Atomics = StdAtomics>
class MpscConsumer {
 public:
  // A message in place, valid until it is released.
  struct Message {
    std::uint32_t lane = 0;  // who sent it
    typename Lane::View view;
  };

  explicit MpscConsumer(const BellPage& bells, const MpscPolicy& policy = {}) noexcept
      : bells_(&bells), policy_(policy) {
    check(policy.quantum != 0 && policy.scan_interval != 0, "a policy that never serves or scans");
  }

  // From now on `end` is polled as lane `number`.  The first look does not wait for a bell.
  // Requires: number < kMaxLanes, not joined yet.
  void join(std::uint32_t number, Lane& end, LaneService service = LaneService::kFair) noexcept {
    check(number < kMaxLanes && !has_joined(number), "a lane that is taken or beyond the last");
    lanes_[number] = &end;
    joined_ |= bit(number);
    if (service == LaneService::kUrgent) urgent_ |= bit(number);
    waiting_ |= bit(number) & ~urgent_;
  }

  // The lane is no longer polled.  Messages held of it are released through its end, or come again.
  // Requires: joined.
  void leave(std::uint32_t number) noexcept {
    check(has_joined(number), "a lane that has not joined");
    lanes_[number] = nullptr;
    joined_ &= ~bit(number);
    urgent_ &= ~bit(number);
    waiting_ &= ~bit(number);
    end_turn(number);
  }

  [[nodiscard]] bool has_joined(std::uint32_t number) const noexcept {
    return number < kMaxLanes && (joined_ & bit(number)) != 0;
  }
  // One bit a lane.
  [[nodiscard]] std::uint64_t joined() const noexcept { return joined_; }

  // Looks at the next message without copying it.  Several may be held at once.  kCorruptPeer names
  // the lane in message.lane; the others go on with the next call, whatever the caller decides, and
  // the lane is urgent no more.
  [[nodiscard]] Transfer try_peek(Message& message) noexcept {
    for (std::uint64_t left = urgent_; left != 0; left &= left - 1) {
      const auto number = static_cast<std::uint32_t>(std::countr_zero(left));
      const Transfer answer = peek_at(number, message);
      if (answer == Transfer::kCorruptPeer) urgent_ &= ~bit(number);
      if (answer != Transfer::kBlocked) return answer;
    }
    // At most the rest of this round and one whole round: bounded, whatever the producers do.
    for (bool is_new_round = false;; is_new_round = true) {
      while (round_ != 0) {
        const auto number = static_cast<std::uint32_t>(std::countr_zero(round_));
        const Transfer answer = peek_at(number, message);
        if (answer == Transfer::kDone) {
          if (++taken_in_turn_ == policy_.quantum) end_turn(number);
          return answer;
        }
        waiting_ &= ~bit(number);  // until its bell says otherwise
        end_turn(number);
        if (answer == Transfer::kCorruptPeer) return answer;
      }
      if (is_new_round) return Transfer::kBlocked;
      begin_round();
    }
  }

  // Finishes `message` and everything before it on its lane.  Requires: the lane has not left.
  void release(const Message& message) noexcept {
    check(has_joined(message.lane), "release on a lane that has not joined");
    lanes_[message.lane]->release(message.view);
  }

  // Whether try_peek() might not answer kBlocked: looks at every lane.  Changes nothing, so that a
  // waiter may ask before it sleeps.
  [[nodiscard]] bool has_message() const noexcept {
    for (std::uint64_t left = joined_; left != 0; left &= left - 1) {
      if (lanes_[static_cast<std::size_t>(std::countr_zero(left))]->has_message()) return true;
    }
    return false;
  }

 private:
  [[nodiscard]] static constexpr std::uint64_t bit(std::uint32_t number) noexcept {
    return std::uint64_t{1} << number;
  }

  [[nodiscard]] Transfer peek_at(std::uint32_t number, Message& message) noexcept {
    message.lane = number;
    return lanes_[number]->try_peek(message.view);
  }

  void end_turn(std::uint32_t number) noexcept {
    round_ &= ~bit(number);
    taken_in_turn_ = 0;
  }

  // A round visits, in the order of their numbers, the lanes that had not been emptied when it
  // began, those that have rung since, and now and then all.
  void begin_round() noexcept {
    for (std::uint64_t left = joined_ & ~urgent_; left != 0; left &= left - 1) {
      const auto number = static_cast<std::uint32_t>(std::countr_zero(left));
      const std::uint64_t count =
          Atomics::load(bells_->rings[bell_index(number)],
                        std::memory_order_acquire);  // mpsc.B pairs with mpsc.A
      if (count == heard_[number]) continue;
      heard_[number] = count;
      waiting_ |= bit(number);
    }
    if (++rounds_since_scan_ >= policy_.scan_interval) {
      rounds_since_scan_ = 0;
      waiting_ = joined_ & ~urgent_;
    }
    round_ = waiting_;
  }

  const BellPage* bells_;
  MpscPolicy policy_;
  std::uint64_t joined_ = 0;
  std::uint64_t urgent_ = 0;
  std::uint64_t waiting_ = 0;  // lanes not known to be empty
  std::uint64_t round_ = 0;    // of these, the ones still to be visited in this round
  std::uint32_t taken_in_turn_ = 0;
  std::uint32_t rounds_since_scan_ = 0;
  std::array<std::uint64_t, kMaxLanes> heard_{};
  std::array<Lane*, kMaxLanes> lanes_{};
};

}  // namespace slipring

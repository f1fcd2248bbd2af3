// Many lanes, one consumer, merged by stamps.
//
// Protocol.  The heads of all lanes are looked at, and the message with the smallest stamp is
// handed out; equal stamps go by lane number.  What a stamp is, a clock or a shared count, the
// producers agree on; gaps do no harm.  An empty lane is not waited for: a stopped or dead producer
// stops nobody, and what it publishes late comes late.  So the order is by stamp among the messages
// that were there, and first in, first out within a lane always.
//
// A stamp is read once from the message, which its producer could still change.  Any value is safe:
// it decides about the order only, and a lane that lies delays its own messages or hurries them.
//
// Crash.  Heads are looked at and not finished: a successor gets them again, marked `redelivered`.
//
// Ordering.  The lanes' own.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "core/error/check.h"
#include "core/ring/mpsc_bell.h"
#include "core/ring/transfer.h"

namespace slipring {

// Lane is a ring's consumer end, as in mpsc_ring.h.  One thread at a time.  The lanes' ends belong
// to the caller and must outlive their stay.
template <typename Lane>
class MpscMerge {
 public:
  struct Message {
    std::uint32_t lane = 0;   // who sent it
    std::uint64_t stamp = 0;  // as it was when the message was first looked at
    typename Lane::View view;
  };

  // Requires: number < kMaxLanes, not joined yet.
  void join(std::uint32_t number, Lane& end) noexcept {
    check(number < kMaxLanes && (joined_ & bit(number)) == 0, "a lane taken or beyond the last");
    lanes_[number] = &end;
    joined_ |= bit(number);
  }

  // The lane's head, if it has been looked at, comes again to whoever attaches to the lane.
  // Requires: joined.
  void leave(std::uint32_t number) noexcept {
    check(number < kMaxLanes && (joined_ & bit(number)) != 0, "a lane that has not joined");
    joined_ &= ~bit(number);
    headed_ &= ~bit(number);
    lanes_[number] = nullptr;
  }

  // Hands the message with the smallest stamp out, in place; several may be held.  stamp_of(view)
  // gives a view's stamp, and must take any bytes.  kCorruptPeer names the lane; let it leave, or
  // it is all that is answered.
  template <typename StampOf>
  [[nodiscard]] Transfer try_peek(Message& message, StampOf stamp_of) noexcept {
    for (std::uint64_t left = joined_ & ~headed_; left != 0; left &= left - 1) {
      const auto number = static_cast<std::uint32_t>(std::countr_zero(left));
      Message& head = heads_[number];
      const Transfer answer = lanes_[number]->try_peek(head.view);
      if (answer == Transfer::kCorruptPeer) {
        message.lane = number;
        return answer;
      }
      if (answer == Transfer::kBlocked) continue;
      head.lane = number;
      head.stamp = stamp_of(static_cast<const typename Lane::View&>(head.view));
      headed_ |= bit(number);
    }
    if (headed_ == 0) return Transfer::kBlocked;
    auto first = static_cast<std::uint32_t>(std::countr_zero(headed_));
    for (std::uint64_t left = headed_ & (headed_ - 1); left != 0; left &= left - 1) {
      const auto number = static_cast<std::uint32_t>(std::countr_zero(left));
      if (heads_[number].stamp < heads_[first].stamp) first = number;
    }
    message = heads_[first];
    headed_ &= ~bit(first);
    return Transfer::kDone;
  }

  // Finishes `message` and everything before it on its lane.  Requires: the lane has not left.
  void release(const Message& message) noexcept {
    check(message.lane < kMaxLanes && (joined_ & bit(message.lane)) != 0,
          "release on a lane that has not joined");
    lanes_[message.lane]->release(message.view);
  }

 private:
  [[nodiscard]] static constexpr std::uint64_t bit(std::uint32_t number) noexcept {
    return std::uint64_t{1} << number;
  }

  std::uint64_t joined_ = 0;
  std::uint64_t headed_ = 0;  // lanes whose next message has been looked at and not handed out
  std::array<Message, kMaxLanes> heads_{};
  std::array<Lane*, kMaxLanes> lanes_{};
};

}  // namespace slipring

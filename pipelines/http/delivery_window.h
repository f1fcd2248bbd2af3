// Messages that were taken from a link and whose receivers have not confirmed them yet.
//
// Protocol.  Messages come from the ring in order and are handed to whoever asks.  A message is
//   waiting    for somebody to ask; at first, and again when its receiver vanished
//   under way  to one receiver
//   confirmed  its receiver has it
// and is finished in the ring once it and all before it are confirmed: a ring finishes in order.
// What is waiting goes before what is still in the ring, so that what was lost once comes next.
//
// Crash.  The ring itself knows nothing of who confirmed what: after a death of ours it delivers
// everything from the first unfinished message on again, marked as redelivered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "core/error/check.h"

namespace slipring::http {

template <typename Message>
class DeliveryWindow {
 public:
  explicit DeliveryWindow(std::size_t size_max) noexcept : size_max_(size_max) {}

  struct Delivery {
    std::uint64_t number;  // for confirm() and give_back()
    Message message;
    bool redelivered;  // somebody may have it already
  };

  [[nodiscard]] bool is_empty() const noexcept { return entries_.empty(); }
  [[nodiscard]] bool is_full() const noexcept { return entries_.size() >= size_max_; }
  [[nodiscard]] bool has_waiting() const noexcept { return waiting_count_ != 0; }
  [[nodiscard]] bool has_under_way() const noexcept { return under_way_count_ != 0; }
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

  // Another message from the ring; it waits.  Requires: not is_full().
  void add(const Message& message, bool redelivered) {
    check(!is_full(), "a message more than the window holds");
    entries_.push_back({message, State::kWaiting, redelivered});
    ++waiting_count_;
  }

  // Hands out the first that waits.  Requires: has_waiting().
  [[nodiscard]] Delivery hand_out() noexcept {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      Entry& entry = entries_[i];
      if (entry.state != State::kWaiting) continue;
      entry.state = State::kUnderWay;
      --waiting_count_;
      ++under_way_count_;
      return {first_number_ + i, entry.message, entry.redelivered};
    }
    check(false, "nothing waits");
    return {};
  }

  // Its receiver has it.  Requires: it is under way.
  void confirm(std::uint64_t number) noexcept {
    Entry& entry = under_way(number);
    entry.state = State::kConfirmed;
    --under_way_count_;
  }

  // Its receiver vanished, and may have it or not.  Requires: it is under way.
  void give_back(std::uint64_t number) noexcept {
    Entry& entry = under_way(number);
    entry.state = State::kWaiting;
    entry.redelivered = true;
    --under_way_count_;
    ++waiting_count_;
  }

  // The next message to be finished in the ring, which is dropped here; one a call.
  [[nodiscard]] std::optional<Message> finish_one() noexcept {
    if (entries_.empty() || entries_.front().state != State::kConfirmed) return std::nullopt;
    const Message message = entries_.front().message;
    entries_.pop_front();
    ++first_number_;
    return message;
  }

  // Forgets everything: the ring will deliver it again.  Requires: nothing is under way.
  void clear() noexcept {
    check(under_way_count_ == 0, "somebody still reads what is forgotten");
    first_number_ += entries_.size();
    entries_.clear();
    waiting_count_ = 0;
  }

 private:
  enum class State : std::uint8_t { kWaiting, kUnderWay, kConfirmed };
  struct Entry {
    Message message;
    State state;
    bool redelivered;
  };

  [[nodiscard]] Entry& under_way(std::uint64_t number) noexcept {
    check(number >= first_number_ && number - first_number_ < entries_.size() &&
              entries_[number - first_number_].state == State::kUnderWay,
          "not a message that is under way");
    return entries_[number - first_number_];
  }

  std::deque<Entry> entries_;
  std::uint64_t first_number_ = 0;
  std::size_t size_max_;
  std::size_t waiting_count_ = 0;
  std::size_t under_way_count_ = 0;
};

}  // namespace slipring::http

// The sleeper's half of the armed-line protocol (platform/wait/doorbell.h), for one sleep.
//
// Waiter uses it, and so does whoever sleeps in a loop of its own:
//
//   for (;;) {
//     Arming arming(points, &event_bell);      // drains, reads the bells, arms, orders
//     if (!something_to_do()) epoll_wait(epoll, events, n, arming.bound_ms(100));
//   }                                          // disarms
//
// Every point is armed from the constructor to the destructor; what is looked at in between, and
// found to be empty, is safe to sleep on.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "platform/wait/doorbell.h"
#include "platform/wait/event_bell.h"
#include "platform/wait/futex.h"

namespace slipring {

inline constexpr std::size_t kWaitPointCountMax = 128;
static_assert(kWaitPointCountMax <= kFutexWordCountMax);

// The bound of a sleep that no bell, or not every bell, can end.
inline constexpr std::uint64_t kBlindSleepNs = 1'000'000;

class Arming {
 public:
  // Requires: at most kWaitPointCountMax points, of which the caller is the one sleeper; points and
  // event bell (null: the sleep is a futex's) outlive the object.
  explicit Arming(std::span<const WaitPoint> points, const EventBell* event = nullptr) noexcept;
  Arming(const Arming&) = delete;
  Arming& operator=(const Arming&) = delete;
  ~Arming();

  // True if a ring may go unheard: a waker relies on a membarrier that this process cannot have,
  // holds no event bell of ours although the sleep is on one, or there is no waker at all.  Then
  // sleep no longer than kBlindSleepNs.
  [[nodiscard]] bool is_blind() const noexcept { return is_blind_; }

  // The bells and what they held before the arming, for futex_wait_any.
  [[nodiscard]] std::span<const FutexWord> words() const noexcept {
    return {words_.data(), points_.size()};
  }

  // A time-out for poll and epoll_wait: `wanted_ms`, or what a blind sleep may take.
  [[nodiscard]] int bound_ms(int wanted_ms) const noexcept {
    constexpr int kBlindMs = static_cast<int>(kBlindSleepNs / 1'000'000);
    return is_blind_ && (wanted_ms < 0 || wanted_ms > kBlindMs) ? kBlindMs : wanted_ms;
  }

 private:
  std::span<const WaitPoint> points_;
  bool is_blind_ = false;
  std::array<FutexWord, kWaitPointCountMax> words_;
};

}  // namespace slipring

// A reader's look at its link's control lane (control_page.h): before its messages, at every k-th
// call.
//
// A look at a lane on which nothing has happened is a load of a line that stays in the cache; k
// trades that load against the messages that are still processed after the command was given.
//
// One thread, that of the end.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "pipelines/link/control_page.h"
#include "platform/wait/doorbell.h"

namespace slipring {

// Calls between two looks, unless the reader's program says otherwise.
inline constexpr std::uint32_t kDefaultControlInterval = 1;
// No look but the program's own: a command then shows as an abort of the writer's, in has_abort()
// and abort_before(), and skip_aborted() obeys it.  For whoever keeps positions of his own.
inline constexpr std::uint32_t kControlByHand = 0;

// The words that a ControlAlarm goes by; they must outlive it.
struct ControlWatch {
  const std::atomic<std::uint32_t>* count = nullptr;   // of commands given; a futex
  const std::atomic<std::uint32_t>* obeyed = nullptr;  // of commands obeyed; the reader's own word
};

class ControlLane {
 public:
  // Nothing is known of what predecessors obeyed: obeying it again changes nothing.
  explicit ControlLane(const ControlPage& page) noexcept : page_(&page) {}
  // The word that a sleeper arms stays behind: nobody sleeps while it moves.
  ControlLane(ControlLane&& other) noexcept
      : page_(other.page_),
        seen_(other.seen_),
        interval_(other.interval_),
        until_look_(other.until_look_) {}
  ControlLane& operator=(ControlLane&& other) noexcept {
    page_ = other.page_;
    seen_ = other.seen_;
    interval_ = other.interval_;
    until_look_ = other.until_look_;
    return *this;
  }

  // Every interval-th call: has_command().
  [[nodiscard]] bool is_due() noexcept {
    if (--until_look_ != 0) return false;
    until_look_ = is_by_hand() ? UINT32_MAX : interval_;
    return is_due_when_idle();
  }
  // There is a command, and a call that found no message obeys it.
  [[nodiscard]] bool is_due_when_idle() const noexcept { return !is_by_hand() && has_command(); }
  [[nodiscard]] bool is_by_hand() const noexcept { return interval_ == kControlByHand; }
  // By hand: the first position that no command has aborted; 0 otherwise.
  [[nodiscard]] std::uint64_t abort_before() const noexcept {
    if (!is_by_hand() || !has_command()) return 0;
    const std::optional<AbortCommand> command = newest();
    return command ? command->boundary.position : 0;
  }
  // Changes nothing, so that a waiter may ask.
  [[nodiscard]] bool has_command() const noexcept {
    return page_->count.load(std::memory_order_acquire) != seen_;  // control.B pairs with control.A
  }
  // The newest command; nothing when the next look is sure to find a newer one.
  [[nodiscard]] std::optional<AbortCommand> newest() const noexcept { return read_command(*page_); }
  void mark_seen(const AbortCommand& command) noexcept { seen_ = command.count; }

  // Looks at every interval-th call, or kControlByHand.
  void set_interval(std::uint32_t interval) noexcept {
    interval_ = interval;
    until_look_ = interval == kControlByHand ? UINT32_MAX : interval;
  }

  // What to sleep on, where the reader sleeps on something else than messages.
  [[nodiscard]] WaitPoint wait_point() noexcept {
    return {&page_->count, &page_->never_registered, &armed_};
  }
  // The word that counts commands, and the futex that is woken with each.
  [[nodiscard]] const std::atomic<std::uint32_t>& count() const noexcept { return page_->count; }

 private:
  const ControlPage* page_;
  std::uint32_t seen_ = 0;
  std::uint32_t interval_ = kDefaultControlInterval;
  std::uint32_t until_look_ = kDefaultControlInterval;
  std::atomic<std::uint32_t> armed_{0};  // for Arming; whoever commands rings always
};

}  // namespace slipring

// A sleeper's eventfd, for whoever sleeps in epoll, with sockets and rings at once.
//
// Protocol.  The sleeper makes the bell and gives its descriptor to every waker (inherited by fork,
// SCM_RIGHTS, or pidfd_getfd); a waker hands it to its Doorbell (attach_event).  The armed-line
// protocol stays as it is, and so does the waker's fast path: one load.
//
//   sleeper: drain · arm · look · epoll_wait · disarm        (Arming does the first two, in order)
//   waker:   publish · load armed · odd and new: bell += 1, futex_wake, signal()
//
// The descriptor stays readable from the first signal to the next drain, however many signals there
// are, and at 2^64 - 2 of them it is full and readable: nothing is lost.  Only a drain can lose a
// signal; it comes *before* the arming, and the signal for an arming comes after it.
//
// Both sides share one open file, so a peer that drains it, or makes it block and fills it, can
// delay the other: eventfds are for parties that trust each other.  Bounded sleeps limit a loss.
#pragma once

#include "core/error/result.h"
#include "platform/process/descriptor.h"

namespace slipring {

class EventBell {
 public:
  // Nonblocking and close-on-exec.  Errors: kNoSpace (no descriptor left), kSystem.
  static Result<EventBell> create() noexcept;

  // Takes over a descriptor that came from another process.  Errors: kCorruptPeer (no nonblocking
  // eventfd), kSystem.  The descriptor is closed in any case.
  static Result<EventBell> adopt(Descriptor descriptor) noexcept;

  // To put into epoll (EPOLLIN, level-triggered) and to send to wakers.
  [[nodiscard]] int fd() const noexcept { return descriptor_.get(); }

  // Makes it readable.  Any thread or process.  One system call.
  void signal() const noexcept { signal_event(fd()); }

  // Makes it unreadable; the sleeper alone, never between arming and sleeping.
  void drain() const noexcept;

  // signal() where only the descriptor is at hand.
  static void signal_event(int event_fd) noexcept;

 private:
  explicit EventBell(Descriptor descriptor) noexcept : descriptor_(std::move(descriptor)) {}

  Descriptor descriptor_;
};

}  // namespace slipring

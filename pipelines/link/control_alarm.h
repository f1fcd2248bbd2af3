// Tells a reader that is busy elsewhere, in a system call or in epoll, that a command has come.
//
// Protocol.  A thread of the reader's own process sleeps on the lane's count of commands (a futex)
// and passes each on: to an eventfd, which becomes readable, or to the reader's thread as a
// real-time signal, which interrupts its system call.  So no descriptor and no signal comes from
// another process, and nobody has to know who reads.  The alarm says when to look, never what to
// do: the reader calls obey_commands() or try_peek().
//
// A signal that comes just before the system call is lost on it; hence it is sent again, every
// kAlarmAgainNs, until the command is obeyed.  An eventfd stays readable until it is drained.
//
// Crash.  The thread dies with its process.
#pragma once

#include <cstdint>
#include <memory>

#include "core/error/result.h"
#include "pipelines/link/control_lane.h"

namespace slipring {

inline constexpr std::uint64_t kAlarmAgainNs = 1'000'000;

class ControlAlarm {
 public:
  // Makes an eventfd readable.  Errors: kNoSpace, kSystem (no descriptor, no thread).
  static Result<ControlAlarm> by_event(const ControlWatch& watch) noexcept;

  // Sends `signal_number` to the calling thread.  Where nothing handles it yet, a handler that does
  // nothing is installed, and stays; system calls are not restarted behind it.
  // Errors: kInvalidArgument (not from SIGRTMIN to SIGRTMAX), kSystem.
  static Result<ControlAlarm> by_signal(const ControlWatch& watch, int signal_number) noexcept;

  ControlAlarm(ControlAlarm&&) noexcept;
  ControlAlarm& operator=(ControlAlarm&&) noexcept;
  // Ends the thread.
  ~ControlAlarm();

  // Readable when a command has come; -1 with a signal.
  [[nodiscard]] int fd() const noexcept;
  // Makes it unreadable: before the look at commands, never behind it.
  void drain() const noexcept;

 private:
  struct Thread;
  explicit ControlAlarm(std::unique_ptr<Thread> thread) noexcept;
  std::unique_ptr<Thread> thread_;
};

}  // namespace slipring

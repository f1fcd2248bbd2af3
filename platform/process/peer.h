// Another process, held by a pidfd: it can be waited for, polled, and signalled without ever
// meaning a later process of the same number.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "core/error/result.h"
#include "platform/process/descriptor.h"

namespace slipring {

struct ExitStatus {
  bool by_signal = false;
  int value = 0;  // the exit code, or the signal's number
  bool dumped_core = false;

  [[nodiscard]] bool is_success() const noexcept { return !by_signal && value == 0; }
};

// Move-only.  Destroying it neither kills the process nor reaps it.
class Peer {
 public:
  // Errors: kNotFound (no such process), kUnsupported (Linux before 5.3), kSystem.
  static Result<Peer> open(pid_t pid) noexcept;

  // Takes over a pidfd that the kernel gave for a connection, say; `pid` is for people.
  static Peer adopt(Descriptor pidfd, pid_t pid) noexcept { return Peer(std::move(pidfd), pid); }

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

  // Whether both are the same process, not two of one number.  False when that cannot be said: one
  // of them has been reaped, on a kernel without pidfs (Linux before 6.9).
  [[nodiscard]] bool is_same_as(const Peer& other) const noexcept;

  // Becomes readable when the process has ended; for poll and epoll.
  [[nodiscard]] int poll_fd() const noexcept { return pidfd_.get(); }

  // Has the process ended, reaped or not?  Errors: kSystem.
  Result<bool> has_ended() const noexcept;

  // Waits until it has ended or CLOCK_MONOTONIC passes `deadline_ns`; false at the deadline.
  // Errors: kSystem.
  Result<bool> wait_ended(std::uint64_t deadline_ns) const noexcept;

  // Reaps a child of ours that has ended; nothing while it runs.  Once only.
  // Errors: kNotFound (not a child of ours, or reaped already), kSystem.
  Result<std::optional<ExitStatus>> try_reap() noexcept;

  // Waits for a child of ours and reaps it; nothing at the deadline.  Errors: as try_reap.
  Result<std::optional<ExitStatus>> reap(std::uint64_t deadline_ns) noexcept;

  // Errors: kNotFound (it has been reaped), kPermission, kInvalidArgument, kSystem.
  Status send_signal(int signal_number) const noexcept;

 private:
  Peer(Descriptor pidfd, pid_t pid) noexcept : pidfd_(std::move(pidfd)), pid_(pid) {}

  Descriptor pidfd_;
  pid_t pid_ = 0;
};

}  // namespace slipring

// Starting a program as a process of its own.
//
// The child gets standard input from /dev/null unless told otherwise, the given standard output and
// error, and no other descriptor; default signal actions and an empty signal mask; a process group
// of its own, so that the terminal's Ctrl-C reaches only whoever started it; and a signal when its
// parent dies.  What fails before the program runs, exec included, comes back as an Error here.
//
// The death signal belongs to the *thread* that starts the child: start children from a thread that
// lives as long as the process.
#pragma once

#include <signal.h>

#include <cstdint>
#include <span>
#include <string>

#include "core/error/result.h"
#include "platform/process/peer.h"

namespace slipring {

struct ChildOptions {
  std::string program;                       // a path, or a name to look up in $PATH
  std::span<const std::string> arguments;    // without the program's own name
  std::span<const std::string> environment;  // "KEY=VALUE", on top of ours
  int stdin_fd = -1;                         // -1: /dev/null
  int stdout_fd = -1;                        // -1: ours
  int stderr_fd = -1;                        // -1: ours
  std::span<const int> kept_fds;             // stay open in the child, under their numbers
  std::span<const std::uint32_t> cpus;       // empty: as ours
  bool own_process_group = true;
  int death_signal = SIGKILL;  // 0: none
};

// Starts it.  On success the child is past exec; reap it with Peer::reap, or it stays a zombie.
// Requires: SIGCHLD is not ignored, and nobody else reaps any child (wait, waitpid(-1)).
// Errors: kNotFound and kPermission (the program; nothing was started), kInvalidArgument (cpus, an
// environment entry without '='), kSystem with the step that failed in Error::doing.
Result<Peer> start_child(const ChildOptions& options) noexcept;

}  // namespace slipring

// Waiting for one descriptor, where something else may end the wait.
#pragma once

#include <errno.h>
#include <poll.h>

#include <array>
#include <cstdint>

#include "pipelines/adapter/other_end.h"

namespace slipring {

inline constexpr int kLookAtPeerMs = static_cast<int>(kLookAtPeerNs / 1'000'000);

[[nodiscard]] inline bool is_worth_waiting(int os_errno) noexcept {
  return os_errno == EAGAIN || os_errno == EWOULDBLOCK || os_errno == EINTR;
}

// Until `fd` is ready for `events`, `alarm_fd` is readable (-1: none), a signal came, or it is time
// to look at the peer.  Regular files are always ready.
inline void wait_for_descriptor(int fd, short events, int alarm_fd) noexcept {
  std::array<pollfd, 2> watched{pollfd{fd, events, 0}, pollfd{alarm_fd, POLLIN, 0}};
  // Whatever poll answers, the caller looks at everything again.
  static_cast<void>(poll(watched.data(), watched.size(), kLookAtPeerMs));
}

[[nodiscard]] inline bool is_ready(int fd, short events) noexcept {
  pollfd watched{fd, events, 0};
  return poll(&watched, 1, 0) != 0;  // an error too is found by reading
}

}  // namespace slipring

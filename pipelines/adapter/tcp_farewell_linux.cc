#include "pipelines/adapter/tcp_farewell.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>

namespace slipring {
namespace {

constexpr int kLookMs = 10;  // acknowledgements ring no bell

std::uint64_t unacknowledged_bytes(int fd) noexcept {
  int count = 0;
  return ioctl(fd, SIOCOUTQ, &count) == 0 && count > 0 ? static_cast<std::uint64_t>(count) : 0;
}

}  // namespace

Status say_tcp_farewell(int fd, const std::atomic<bool>* stop) noexcept {
  if (shutdown(fd, SHUT_WR) != 0) {
    return Error{ErrorCode::kClosed, errno, "end the connection", unacknowledged_bytes(fd), 0};
  }
  std::array<std::byte, 4096> dropped;
  for (;;) {
    const ssize_t got = recv(fd, dropped.data(), dropped.size(), MSG_DONTWAIT);
    const bool has_failed = got < 0 && errno != EAGAIN && errno != EINTR;
    const std::uint64_t left = unacknowledged_bytes(fd);
    if (has_failed) return Error{ErrorCode::kClosed, errno, "send to the end", left, 0};
    if (got > 0) continue;
    if (left == 0) return {};
    // relaxed: nothing else is published with it.
    if (stop != nullptr && stop->load(std::memory_order_relaxed)) {
      return Error{ErrorCode::kInterrupted, 0, "send to the end", left, 0};
    }
    // After the other side's end of file its socket stays readable: only the time may pass then.
    pollfd watched{fd, static_cast<short>(got == 0 ? 0 : POLLIN), 0};
    static_cast<void>(poll(&watched, 1, kLookMs));
  }
}

}  // namespace slipring

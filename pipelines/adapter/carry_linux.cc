#include "pipelines/adapter/carry.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstddef>

#include "pipelines/adapter/other_end.h"

namespace slipring {
namespace {

constexpr std::size_t kPieceBytes = 65536;

Error failed(const char* doing, std::uint64_t moved_bytes) noexcept {
  const ErrorCode code =
      errno == ENOSPC || errno == EDQUOT ? ErrorCode::kNoSpace : ErrorCode::kSystem;
  return {code, errno, doing, moved_bytes, 0};
}

// Somebody made the descriptor non-blocking: waits in its place.
void wait_for(int fd, short events) noexcept {
  pollfd watched{fd, events, 0};
  static_cast<void>(poll(&watched, 1, -1));  // a failure is found by the next call
}

// From a pipe or a file into a pipe: where splice is quicker (CARRY.md), and none of its sides
// waits.  Into and out of sockets and terminals the kernel waits with the pipe's lock held,
// whatever SPLICE_F_NONBLOCK says, unless the description itself is non-blocking, which is not ours
// to change: whoever opens or reads the pipe would hang meanwhile, out of reach of any signal.
bool is_spliced(int input, int output) noexcept {
  struct stat from {};
  struct stat to {};
  if (fstat(input, &from) != 0 || fstat(output, &to) != 0) return false;
  return S_ISFIFO(to.st_mode) && (S_ISFIFO(from.st_mode) || S_ISREG(from.st_mode));
}

// Writes all of it; false with errno set when that is not possible.
bool write_all(int output, const std::byte* bytes, std::size_t count) noexcept {
  while (count != 0) {
    const ssize_t put = write(output, bytes, count);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && errno == EAGAIN) {
      wait_for(output, POLLOUT);
      continue;
    }
    if (put < 0) return false;
    bytes += put;
    count -= static_cast<std::size_t>(put);
  }
  return true;
}

}  // namespace

Result<PumpReport> carry(int input, int output, const PumpOptions& options) noexcept {
  PumpReport report;
  bool may_splice = is_spliced(input, output);
  std::array<std::byte, kPieceBytes> piece;
  while (!is_stopped(options)) {
    ssize_t got = 0;
    if (may_splice) {
      got = splice(input, nullptr, output, nullptr, kPieceBytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
      if (got < 0 && errno == EINVAL) {
        may_splice = false;
        continue;
      }
    } else {
      got = read(input, piece.data(), piece.size());
    }
    if (got == 0) return report;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) {
      wait_for(input, POLLIN);
      if (may_splice) wait_for(output, POLLOUT);
      continue;
    }
    if (got < 0 && may_splice && errno == EPIPE) {
      report.end = PumpEnd::kOutputClosed;
      return report;
    }
    if (got < 0)
      return failed(may_splice ? "move the bytes" : "read the input", report.moved_bytes);
    if (!may_splice && !write_all(output, piece.data(), static_cast<std::size_t>(got))) {
      if (errno != EPIPE && errno != ECONNRESET) {
        return failed("write the output", report.moved_bytes);
      }
      report.end = PumpEnd::kOutputClosed;
      return report;
    }
    report.moved_bytes += static_cast<std::uint64_t>(got);
  }
  report.end = PumpEnd::kStopped;
  return report;
}

}  // namespace slipring

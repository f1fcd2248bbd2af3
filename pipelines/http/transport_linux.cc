#include "pipelines/http/transport.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace slipring::http {

IoAnswer Transport::answer_of(TlsAnswer answer) noexcept {
  switch (answer) {
    case TlsAnswer::kDone:
      return IoAnswer::kDone;
    case TlsAnswer::kWantsRead:
      wants_write_ = false;
      return IoAnswer::kBlocked;
    case TlsAnswer::kWantsWrite:
      wants_write_ = true;
      return IoAnswer::kBlocked;
    case TlsAnswer::kEnd:
      return IoAnswer::kEnd;
    case TlsAnswer::kFailed:
      break;
  }
  return IoAnswer::kBroken;
}

IoAnswer Transport::prepare() noexcept {
  if (is_ready_) return IoAnswer::kDone;
  const IoAnswer answer = answer_of(tls_->handshake());
  is_ready_ = answer == IoAnswer::kDone;
  return answer;
}

IoAnswer Transport::read(std::span<std::byte> room, std::size_t& count) noexcept {
  count = 0;
  if (tls_) return answer_of(tls_->read(room, count));
  for (;;) {
    const ssize_t got = recv(socket_.get(), room.data(), room.size(), MSG_DONTWAIT);
    if (got > 0) {
      count = static_cast<std::size_t>(got);
      return IoAnswer::kDone;
    }
    if (got == 0) return is_broken() ? IoAnswer::kBroken : IoAnswer::kEnd;
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return IoAnswer::kBroken;
    wants_write_ = false;
    return IoAnswer::kBlocked;
  }
}

IoAnswer Transport::write(std::span<const std::byte> bytes, std::size_t& count) noexcept {
  count = 0;
  if (tls_) return answer_of(tls_->write(bytes, count));
  for (;;) {
    const ssize_t sent =
        send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
      count = static_cast<std::size_t>(sent);
      return IoAnswer::kDone;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return IoAnswer::kBroken;
    wants_write_ = true;
    return IoAnswer::kBlocked;
  }
}

bool Transport::has_input() const noexcept {
  if (tls_ && tls_->has_buffered()) return true;
  pollfd socket{socket_.get(), POLLIN, 0};
  return poll(&socket, 1, 0) > 0;
}

std::uint64_t Transport::unacknowledged_bytes() const noexcept {
  int count = 0;
  // Without an answer nothing is known to have arrived.
  if (ioctl(socket_.get(), SIOCOUTQ, &count) != 0) return UINT64_MAX;
  return static_cast<std::uint64_t>(count);
}

bool Transport::is_broken() const noexcept {
  pollfd socket{socket_.get(), 0, 0};
  return poll(&socket, 1, 0) > 0 && (socket.revents & (POLLERR | POLLNVAL)) != 0;
}

bool Transport::has_left() const noexcept {
  pollfd socket{socket_.get(), POLLRDHUP, 0};
  return poll(&socket, 1, 0) > 0;
}

void Transport::finish_writing() noexcept {
  if (tls_ && is_ready_) static_cast<void>(tls_->say_farewell());  // at best; the end says it too
  shutdown(socket_.get(), SHUT_WR);
}

}  // namespace slipring::http

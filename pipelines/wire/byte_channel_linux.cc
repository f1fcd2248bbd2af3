#include "pipelines/wire/byte_channel.h"

#include <errno.h>
#include <sys/socket.h>

#include <cstring>

#include "pipelines/wire/wire_address.h"

namespace slipring::wire {

TlsAnswer ByteChannel::answer_of_errno(TlsAnswer again) noexcept {
  if (errno == EAGAIN || errno == EINTR) return again;
  fault_ = std::strerror(errno);
  return TlsAnswer::kFailed;
}

TlsAnswer ByteChannel::shake_hands() noexcept {
  return tls_ ? tls_->handshake() : TlsAnswer::kDone;
}

TlsAnswer ByteChannel::read(std::span<std::byte> bytes, std::size_t& count) noexcept {
  if (tls_) return tls_->read(bytes, count);
  count = 0;
  const ssize_t got = recv(socket_.get(), bytes.data(), bytes.size(), 0);
  if (got < 0) return answer_of_errno(TlsAnswer::kWantsRead);
  count = static_cast<std::size_t>(got);
  return got == 0 ? TlsAnswer::kEnd : TlsAnswer::kDone;
}

TlsAnswer ByteChannel::write(std::span<const std::byte> bytes, std::size_t& count) noexcept {
  if (tls_) return tls_->write(bytes, count);
  count = 0;
  const ssize_t put = send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (put < 0) return answer_of_errno(TlsAnswer::kWantsWrite);
  count = static_cast<std::size_t>(put);
  return TlsAnswer::kDone;
}

void ByteChannel::say_farewell() noexcept {
  // What cannot be said any more need not be.
  if (tls_) static_cast<void>(tls_->say_farewell());
  static_cast<void>(shutdown(socket_.get(), SHUT_WR));
}

std::string ByteChannel::peer_name() const {
  std::string place = peer_name_of(socket_);
  if (const std::size_t colon = place.rfind(':'); colon != std::string::npos) place.resize(colon);
  return tls_ ? tls_->peer_subject() + " at " + place : place;
}

}  // namespace slipring::wire

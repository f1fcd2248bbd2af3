// A connected socket that never blocks, plain or with TLS on it.
//
// One thread at a time.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "pipelines/adapter/tls_channel.h"
#include "platform/process/descriptor.h"

namespace slipring::wire {

class ByteChannel {
 public:
  explicit ByteChannel(Descriptor socket) noexcept : socket_(std::move(socket)) {}
  // Requires: the channel is over that socket.
  ByteChannel(Descriptor socket, TlsChannel tls) noexcept
      : socket_(std::move(socket)), tls_(std::move(tls)) {}

  // Until kDone; see TlsChannel.  A plain one is done at once.
  [[nodiscard]] TlsAnswer shake_hands() noexcept;
  // As TlsChannel.  On a plain socket the other side's end is kEnd, however it came.
  [[nodiscard]] TlsAnswer read(std::span<std::byte> bytes, std::size_t& count) noexcept;
  [[nodiscard]] TlsAnswer write(std::span<const std::byte> bytes, std::size_t& count) noexcept;
  // Nothing more will be written.
  void say_farewell() noexcept;

  // Received, and not told of by poll.
  [[nodiscard]] bool has_buffered() const noexcept { return tls_ && tls_->has_buffered(); }
  // Who is at the other end: to whom its certificate is made out, and its address, without the port
  // that it calls from; of a unix socket the process, by the kernel's word.  After the handshake.
  [[nodiscard]] std::string peer_name() const;
  [[nodiscard]] const Descriptor& socket() const noexcept { return socket_; }
  // Why the last answer was kFailed.
  [[nodiscard]] const std::string& fault() const noexcept { return tls_ ? tls_->fault() : fault_; }

 private:
  TlsAnswer answer_of_errno(TlsAnswer again) noexcept;

  Descriptor socket_;  // outlives tls_
  std::optional<TlsChannel> tls_;
  std::string fault_;
};

}  // namespace slipring::wire

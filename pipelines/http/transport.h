// A client's connected socket, plain or under TLS, and what is known of what has arrived.
//
// What a kernel has taken from us is not yet with the client.  Three things tell more:
//   unacknowledged_bytes()  what the client's machine has not acknowledged
//   read() == kEnd          the client has closed, or will send no more; a client that closes with
//                           bytes unread resets the connection instead, which is kBroken
//   is_broken()             the connection was reset, also where a read would still say kEnd
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "pipelines/adapter/tls_channel.h"
#include "platform/process/descriptor.h"

namespace slipring::http {

enum class IoAnswer : std::uint8_t { kDone, kBlocked, kEnd, kBroken };

class Transport {
 public:
  // Requires: the socket does not block.
  Transport(Descriptor socket, std::optional<TlsChannel> tls) noexcept
      : socket_(std::move(socket)), tls_(std::move(tls)), is_ready_(!tls_) {}

  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  // Whether what was blocked last goes on when the socket can be written; otherwise, read.
  [[nodiscard]] bool wants_write() const noexcept { return wants_write_; }

  [[nodiscard]] bool is_encrypted() const noexcept { return tls_.has_value(); }

  // Until kDone; at once without TLS.
  [[nodiscard]] IoAnswer prepare() noexcept;
  // At least one byte with kDone.  Requires: `room` is not empty.
  [[nodiscard]] IoAnswer read(std::span<std::byte> room, std::size_t& count) noexcept;
  [[nodiscard]] IoAnswer write(std::span<const std::byte> bytes, std::size_t& count) noexcept;

  // Something can be read now, without reading it; an end or a fault counts as well.
  [[nodiscard]] bool has_input() const noexcept;
  [[nodiscard]] std::uint64_t unacknowledged_bytes() const noexcept;
  [[nodiscard]] bool is_broken() const noexcept;
  // The client has closed, or sends no more.
  [[nodiscard]] bool has_left() const noexcept;
  // We send no more; the client reads an end.
  void finish_writing() noexcept;

 private:
  IoAnswer answer_of(TlsAnswer answer) noexcept;

  Descriptor socket_;
  std::optional<TlsChannel> tls_;
  bool is_ready_;
  bool wants_write_ = false;
};

}  // namespace slipring::http

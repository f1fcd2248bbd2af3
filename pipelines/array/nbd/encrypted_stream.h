// A client's bytes through encryption, as a connection sees them.
//
// TlsStream (tls_stream.h) is the one of the appliance.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>

#include "pipelines/array/nbd/socket_transfer.h"

namespace slipring::array {

class EncryptedStream {
 public:
  EncryptedStream() = default;
  EncryptedStream(const EncryptedStream&) = delete;
  EncryptedStream& operator=(const EncryptedStream&) = delete;
  virtual ~EncryptedStream() = default;

  // As receive_once() and send_once(), with plain bytes; `count` of them, when kMoved.  What was
  // offered to be sent and not taken is offered again next time, at the same places' beginning.
  [[nodiscard]] virtual MoveOutcome receive(std::span<const iovec> parts, std::uint32_t& count) = 0;
  [[nodiscard]] virtual MoveOutcome send(std::span<const iovec> parts, std::uint32_t& count) = 0;
};

}  // namespace slipring::array

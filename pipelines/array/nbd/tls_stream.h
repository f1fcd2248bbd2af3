// A client's TLS session, on the server's side.
//
// It belongs to the process: its keys are in no memory that outlives it, and with it the connection
// ends (pipelines/array/ARRAY.md says what a client sees).
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "pipelines/adapter/tls_channel.h"
#include "pipelines/array/nbd/encrypted_stream.h"

namespace slipring::array {

class TlsStream final : public EncryptedStream {
 public:
  explicit TlsStream(TlsChannel channel) noexcept : channel_(std::move(channel)) {}

  // Moves it on; kMoved: done.  kEnded: it failed, and fault() says why.
  [[nodiscard]] MoveOutcome handshake() noexcept {
    const TlsAnswer answer = channel_.handshake();
    is_done_ = answer == TlsAnswer::kDone;
    return is_done_ ? MoveOutcome::kMoved : outcome_of(answer);
  }
  [[nodiscard]] MoveOutcome receive(std::span<const iovec> parts, std::uint32_t& count) override;
  [[nodiscard]] MoveOutcome send(std::span<const iovec> parts, std::uint32_t& count) override;
  // As far as the socket takes it at once.
  void say_farewell() noexcept {
    if (is_done_ && !has_failed_) static_cast<void>(channel_.say_farewell());
  }
  [[nodiscard]] const std::string& fault() const noexcept { return channel_.fault(); }
  [[nodiscard]] std::string peer_subject() const { return channel_.peer_subject(); }

 private:
  [[nodiscard]] MoveOutcome outcome_of(TlsAnswer answer) noexcept {
    has_failed_ = has_failed_ || answer == TlsAnswer::kFailed;
    const bool is_later = answer == TlsAnswer::kWantsRead || answer == TlsAnswer::kWantsWrite;
    return is_later ? MoveOutcome::kNothing : MoveOutcome::kEnded;
  }

  TlsChannel channel_;
  bool is_done_ = false;
  bool has_failed_ = false;
};

}  // namespace slipring::array

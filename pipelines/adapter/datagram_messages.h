// Sockets that keep boundaries, as source and sink of messages: UDP, and unix seqpacket.
//
// UDP loses, repeats and reorders, and so does what comes through here: a message is what arrived.
// Two losses happen on this machine, and are counted: datagrams that came while the socket's buffer
// was full, and those longer than a message may be, which are left out whole.  A seqpacket socket
// loses nothing, and ends.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "pipelines/adapter/message_ends.h"
#include "pipelines/adapter/pump_options.h"
#include "platform/process/descriptor.h"

namespace slipring {

inline constexpr std::uint64_t kMaxUdpBytes = 65507;  // over IPv4

enum class DatagramKind : std::uint8_t { kUdp, kSeqpacket };

class DatagramSource final : public MessageSource {
 public:
  DatagramSource(Descriptor input, DatagramKind kind, std::uint64_t max_message_bytes) noexcept;

  void limit(std::uint64_t max_message_bytes) noexcept override;
  Result<Passage> try_take(std::span<const std::byte>& message) noexcept override;
  void finish_taken() noexcept override { is_held_ = false; }
  Result<Passage> wait(int alarm_fd) noexcept override;
  void add_to(PumpReport& report) const noexcept override;

 private:
  static constexpr std::size_t kMaxBatch = 32;
  // A seqpacket message of no bytes comes with its sender's credentials, an end comes without.
  union Control {
    cmsghdr header;
    std::array<std::byte, CMSG_SPACE(sizeof(ucred))> bytes;
  };

  Result<Passage> receive() noexcept;
  [[nodiscard]] bool is_end(std::size_t index) const noexcept;

  Descriptor input_;
  DatagramKind kind_;
  std::uint64_t max_message_bytes_;
  std::unique_ptr<std::byte[]> bytes_;  // batch_size_ messages of max_message_bytes_
  std::size_t batch_size_ = 0;
  std::array<mmsghdr, kMaxBatch> headers_;
  std::array<iovec, kMaxBatch> places_;
  std::array<Control, kMaxBatch> controls_;
  std::size_t next_ = 0;  // of those received
  std::size_t received_ = 0;
  bool is_held_ = false;
  std::uint64_t truncated_count_ = 0;
};

class DatagramSink final : public MessageSink {
 public:
  DatagramSink(Descriptor output, DatagramKind kind) noexcept;

  [[nodiscard]] std::uint64_t max_message_bytes() const noexcept override {
    return max_message_bytes_;
  }
  Result<Passage> put(std::span<const std::byte> message) noexcept override;
  Result<Passage> flush() noexcept override;
  Result<Passage> wait() noexcept override;
  void add_to(PumpReport& report) const noexcept override;

 private:
  static constexpr std::size_t kBatch = 64;

  Descriptor output_;
  std::uint64_t max_message_bytes_;
  std::array<mmsghdr, kBatch> headers_;
  std::array<iovec, kBatch> places_;
  std::size_t first_ = 0;  // not yet sent
  std::size_t count_ = 0;
  std::uint64_t unheard_count_ = 0;
};

}  // namespace slipring

// An opened source of transport-stream bytes: a UDP socket or a file.
#pragma once

#include <cstdint>
#include <span>

#include "core/error/result.h"
#include "pipelines/settop/ingest/source_address.h"
#include "platform/process/descriptor.h"

namespace slipring::settop {

enum class ReadOutcome : std::uint8_t { kData, kNothingYet, kEnd };

class ByteSource {
 public:
  // A UDP socket is bound to its address and joined to its group, and to nothing else; a file is
  // opened at `offset_bytes`.  Errors: kNotFound, kPermission, kSystem.
  static Result<ByteSource> open(const SourceAddress& address, std::uint64_t offset_bytes) noexcept;

  // Reads straight into `place`, one datagram or as much of a file; never waits for a socket.
  // `place` must hold a datagram: 64 KiB is always enough.  Errors: kSystem.
  Result<ReadOutcome> read(std::span<std::byte> place, std::size_t& size_bytes) noexcept;

  // Sleeps until a socket has data, a signal comes, or the time is over.  A file is always ready.
  void wait(std::uint32_t timeout_ms) const noexcept;

  // Datagrams that the kernel had no room for, since open.
  [[nodiscard]] std::uint64_t kernel_drop_count() const noexcept { return kernel_drop_count_; }
  // What the kernel really holds for us, which may be less than was asked for.
  [[nodiscard]] std::uint32_t receive_buffer_bytes() const noexcept {
    return receive_buffer_bytes_;
  }
  [[nodiscard]] bool is_live() const noexcept { return live_; }

 private:
  ByteSource(Descriptor descriptor, bool live) noexcept;
  static Result<ByteSource> open_udp(const SourceAddress& address) noexcept;
  Result<ReadOutcome> read_datagram(std::span<std::byte> place, std::size_t& size_bytes) noexcept;

  Descriptor descriptor_;
  bool live_;
  std::uint32_t receive_buffer_bytes_ = 0;
  std::uint64_t kernel_drop_count_ = 0;
};

}  // namespace slipring::settop

// Messages as lines or frames (FRAMING.md) of whatever can be read or written.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "pipelines/adapter/message_ends.h"
#include "pipelines/adapter/message_framer.h"
#include "pipelines/adapter/message_pump.h"
#include "pipelines/adapter/pump_options.h"
#include "platform/process/descriptor.h"

namespace slipring {

// Pipe, FIFO, file, terminal, stream socket; its blocking mode is left alone.
class DescriptorSource final : public MessageSource {
 public:
  // Requires: framing is not kBytes; max_message_bytes <= kMaxFrameBytes.
  DescriptorSource(Descriptor input, Framing framing, std::uint64_t max_message_bytes) noexcept;

  void limit(std::uint64_t max_message_bytes) noexcept override {
    framer_.limit(max_message_bytes);
  }
  Result<Passage> try_take(std::span<const std::byte>& message) noexcept override;
  void finish_taken() noexcept override { is_held_ = false; }
  Result<Passage> wait(int alarm_fd) noexcept override;

 private:
  Result<Passage> read_more() noexcept;

  Descriptor input_;
  MessageFramer framer_;
  bool is_held_ = false;  // the buffer must stay as it is
  bool has_ended_ = false;
};

// Writes many messages with one call, from where they are.
class DescriptorSink final : public MessageSink {
 public:
  // kBytes writes message after message.
  DescriptorSink(Descriptor output, Framing framing, std::uint64_t max_message_bytes) noexcept;

  [[nodiscard]] std::uint64_t max_message_bytes() const noexcept override {
    return max_message_bytes_;
  }
  Result<Passage> put(std::span<const std::byte> message) noexcept override;
  Result<Passage> flush() noexcept override;
  Result<Passage> wait() noexcept override;
  void add_to(PumpReport& report) const noexcept override;

 private:
  static constexpr std::size_t kParts = 2 * std::size_t{kPumpBatch};

  void add_part(const void* bytes, std::size_t size) noexcept;

  Descriptor output_;
  Framing framing_;
  std::uint64_t max_message_bytes_;
  std::array<iovec, kParts> parts_;
  std::size_t first_part_ = 0;  // not yet written whole
  std::size_t part_count_ = 0;
  std::array<std::array<std::byte, kFrameHeaderBytes>, kPumpBatch> headers_;
  std::size_t header_count_ = 0;
  std::uint64_t ambiguous_count_ = 0;
};

}  // namespace slipring

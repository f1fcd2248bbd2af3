// The front's way to the back end: buffers, requests out, replies in.
//
// LinkBlockPort (link_block_port.h) is the one of the appliance; tests have their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/pool/buffer_pool.h"
#include "core/ring/transfer.h"
#include "pipelines/array/block_request.h"

namespace slipring::array {

// A reply that was taken and is not finished yet.
struct ReplyTicket {
  std::uint64_t position = 0;
  BufferHandle buffer = kNullHandle;
};

class BlockPort {
 public:
  BlockPort() = default;
  BlockPort(const BlockPort&) = delete;
  BlockPort& operator=(const BlockPort&) = delete;
  virtual ~BlockPort() = default;

  // A buffer for a write's data.  Its handle is lent already, so that what is received into it
  // outlives the process.  kBlocked: none is free.
  [[nodiscard]] virtual Transfer acquire(BufferHandle& buffer) = 0;
  // The same buffer again, for a successor; false when it cannot be had.
  [[nodiscard]] virtual bool acquire_again(BufferHandle& buffer) = 0;
  [[nodiscard]] virtual std::span<std::byte> bytes_to_fill(const BufferHandle& buffer) = 0;
  // It will never be sent.
  virtual void withdraw(const BufferHandle& buffer) = 0;

  // Where the next request goes: it moves with each.
  [[nodiscard]] virtual std::uint64_t position() const = 0;
  // Whether send() would not answer kBlocked.
  [[nodiscard]] virtual bool has_space() const = 0;
  // Puts the request onto the ring; its buffer is the back end's from now on.
  [[nodiscard]] virtual Transfer send(const BlockRequest& request) = 0;

  // The next reply, which stays ours until finish(), in any order.
  [[nodiscard]] virtual Transfer next_reply(BlockReply& reply, ReplyTicket& ticket) = 0;
  // A reply's data; empty when the buffer is not lent to us.
  [[nodiscard]] virtual std::span<const std::byte> data_of(const BufferHandle& buffer) const = 0;
  // Gives the buffer back.  Safe for a buffer that was given back before.
  virtual void give_back(const BufferHandle& buffer) = 0;
  // The buffer was given back: the message may go.
  virtual void finish(const ReplyTicket& ticket) = 0;

  // Where the oldest reply is that is not finished, if those behind it have begun to crowd the
  // ring; its finish() makes room.
  [[nodiscard]] virtual std::optional<std::uint64_t> crowding_position() const = 0;

  // How many replies may bring data at a time.
  [[nodiscard]] virtual std::uint32_t reply_buffer_count() const = 0;
};

}  // namespace slipring::array

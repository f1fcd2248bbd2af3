// The back end behind two slot links with pools (pipelines/array/block_request.h).
//
// Replies are finished in any order, the ring's messages are released in theirs: what is finished
// early waits here for those before it.
#pragma once

#include <deque>
#include <optional>

#include "pipelines/array/nbd/block_port.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"

namespace slipring::array {

class LinkBlockPort final : public BlockPort {
 public:
  // Both outlive the port.  Requires: both have a pool of buffers of kBlockBufferBytes.
  LinkBlockPort(LinkWriter& requests, LinkReader& replies) noexcept
      : requests_(&requests), replies_(&replies) {}

  [[nodiscard]] Transfer acquire(BufferHandle& buffer) override;
  [[nodiscard]] bool acquire_again(BufferHandle& buffer) override;
  [[nodiscard]] std::span<std::byte> bytes_to_fill(const BufferHandle& buffer) override;
  void withdraw(const BufferHandle& buffer) override;
  [[nodiscard]] std::uint64_t position() const override { return requests_->position(); }
  [[nodiscard]] bool has_space() const override {
    return requests_->has_space(sizeof(BlockRequest));
  }
  [[nodiscard]] Transfer send(const BlockRequest& request) override;
  [[nodiscard]] Transfer next_reply(BlockReply& reply, ReplyTicket& ticket) override;
  [[nodiscard]] std::span<const std::byte> data_of(const BufferHandle& buffer) const override;
  void give_back(const BufferHandle& buffer) override;
  void finish(const ReplyTicket& ticket) override;
  [[nodiscard]] std::optional<std::uint64_t> crowding_position() const override;
  [[nodiscard]] std::uint32_t reply_buffer_count() const override;

 private:
  struct Held {
    Message message;
    bool is_finished = false;
  };

  LinkWriter* requests_;
  LinkReader* replies_;
  std::deque<Held> held_;  // in the ring's order
};

}  // namespace slipring::array

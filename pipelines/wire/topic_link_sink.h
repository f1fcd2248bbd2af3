// A topic as a wire publishes into it: the one writer of a broadcast link.
//
// Also takes records and slots, whose senders know of no topic.
//
// One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "pipelines/link/broadcast_sender.h"
#include "pipelines/wire/link_sink.h"

namespace slipring::wire {

class TopicLinkSink final : public LinkSink {
 public:
  explicit TopicLinkSink(BroadcastSender messages);

  [[nodiscard]] std::optional<ErrorReason> refuses(const WireForm& form) const noexcept override;
  [[nodiscard]] bool has_space(std::uint32_t) const noexcept override {
    return messages_.has_space();
  }
  [[nodiscard]] std::uint64_t place_bytes_max() const noexcept override {
    return form_.message_bytes_max;
  }
  [[nodiscard]] std::uint64_t position() const noexcept override { return messages_.position(); }
  [[nodiscard]] std::uint64_t position_after() const noexcept override { return position() + 1; }
  [[nodiscard]] std::uint64_t capacity() const noexcept override;
  [[nodiscard]] std::uint64_t credit(const WireForm& form) const noexcept override;
  [[nodiscard]] bool may_pass_over(std::uint64_t count) const noexcept override {
    return count < kFarthestBroadcast && position() + count < kFarthestBroadcast;
  }
  void pass_over(std::uint64_t count) noexcept override {
    messages_.pass_over_to(position() + count);
  }
  void tend() noexcept override;
  // Readers have no event to be signalled.
  void attach_event(int) noexcept override {}
  void abort_published() noexcept override { messages_.abort_published(); }
  // Each reader's affair.
  [[nodiscard]] DropReport drops() const noexcept override { return {}; }
  [[nodiscard]] std::uint64_t done() const noexcept override { return position(); }
  void close() noexcept override { messages_.close(); }
  // Another may come at any time.
  [[nodiscard]] bool is_reader_closed() const noexcept override { return false; }
  [[nodiscard]] WaitPoint wait_point() noexcept override {
    return messages_.space_points().front();
  }
  [[nodiscard]] std::span<const WaitPoint> further_points() noexcept override {
    return messages_.space_points().subspan(1);
  }
  [[nodiscard]] std::optional<WaitPoint> news_point() noexcept override { return std::nullopt; }
  void look_for_news() noexcept override {}

 private:
  [[nodiscard]] Transfer open(std::uint32_t bytes) noexcept override;
  void publish() noexcept override;
  [[nodiscard]] std::uint64_t messages_at_once() const noexcept;

  BroadcastSender messages_;
  std::vector<std::byte> message_;
};

// Errors: as BroadcastSender::attach().
Result<std::unique_ptr<LinkSink>> attach_topic_sink(const SegmentDirectory& directory,
                                                    std::string_view name,
                                                    MemoryLock memory_lock) noexcept;

}  // namespace slipring::wire

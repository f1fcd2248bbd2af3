// A topic as a wire subscribes to it: one reader more of a broadcast link.
//
// What the topic has overwritten before it was handed out shows in the positions of what comes
// next: a piece begins ahead of where the one before ended.  Under block nothing is overwritten
// before it is finished, and it is finished when it has been acknowledged.
//
// One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "pipelines/link/broadcast_receiver.h"
#include "pipelines/wire/link_source.h"

namespace slipring::wire {

class TopicLinkSource final : public LinkSource {
 public:
  explicit TopicLinkSource(BroadcastReceiver messages) noexcept;

  // Where it stood when it joined, or what was acknowledged last.
  [[nodiscard]] std::uint64_t done() const noexcept override { return done_; }
  [[nodiscard]] bool rewind(std::uint64_t position) noexcept override;
  [[nodiscard]] Transfer next(Piece& piece, std::size_t bytes_max) noexcept override;
  void put_back(const Piece& piece) noexcept override {
    LinkSource::put_back(piece);
    is_put_back_ = true;
  }
  [[nodiscard]] bool release(std::uint64_t position) noexcept override;
  // Nothing is lost sight of: what is aborted and did not arrive is passed over there.
  [[nodiscard]] std::uint64_t settle_doomed(std::uint64_t, std::uint64_t) noexcept override {
    return 0;
  }
  [[nodiscard]] std::uint32_t stream() const noexcept override { return stream_; }
  [[nodiscard]] bool has_more() const noexcept override {
    return !has_left_ && (has_abort() || is_put_back_ || messages_.has_message());
  }
  [[nodiscard]] bool is_at_end() const noexcept override {
    // In this order: what was published before closing is seen now.
    return messages_.is_finished() && !has_more();
  }
  [[nodiscard]] WaitPoint wait_point() noexcept override { return messages_.message_point(); }
  [[nodiscard]] std::optional<WaitPoint> news_point() noexcept override {
    return messages_.news_point();
  }
  // It is found by the next message.
  void look_for_news() noexcept override {}
  // A broadcast link's writer has no event to be signalled.
  void attach_event(int) noexcept override {}
  void close() noexcept override;

 private:
  [[nodiscard]] std::uint64_t abort_word() const noexcept override {
    return messages_.abort_before();
  }
  void drop_before(std::uint64_t before) noexcept override;

  BroadcastReceiver messages_;
  std::uint32_t stream_;
  BroadcastMessage message_;  // the last one handed out
  bool is_put_back_ = false;
  bool has_left_ = false;
  std::uint64_t done_;
};

// From the present on.  Errors: as BroadcastReceiver::attach().
Result<std::unique_ptr<LinkSource>> attach_topic_source(const SegmentDirectory& directory,
                                                        std::string_view name,
                                                        MemoryLock memory_lock) noexcept;

}  // namespace slipring::wire

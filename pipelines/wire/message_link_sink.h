// Records and slots, with or without a pool of buffers, as a wire publishes them.
//
// Pool.  A message that comes with the bytes of a buffer gets one of this link's own pool, lent as
// its writer lends any, and the message gets its handle; the handle that came is never looked at.
//
// One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "pipelines/link/link_writer.h"
#include "pipelines/wire/link_sink.h"

namespace slipring::wire {

class MessageLinkSink final : public LinkSink {
 public:
  explicit MessageLinkSink(LinkWriter messages) noexcept;

  [[nodiscard]] std::optional<ErrorReason> refuses(const WireForm& form) const noexcept override;
  [[nodiscard]] bool has_space(std::uint32_t bytes) const noexcept override;
  [[nodiscard]] std::uint64_t place_bytes_max() const noexcept override {
    return form_.message_bytes_max + form_.buffer_bytes;
  }
  [[nodiscard]] std::uint64_t position() const noexcept override { return messages_.position(); }
  [[nodiscard]] std::uint64_t position_after() const noexcept override;
  [[nodiscard]] std::uint64_t capacity() const noexcept override;
  [[nodiscard]] std::uint64_t credit(const WireForm& form) const noexcept override;
  [[nodiscard]] std::optional<Lane> lane() const noexcept override {
    if (!is_lane_set(messages_.shape())) return std::nullopt;
    return Lane{messages_.lane(), messages_.attachment()};
  }
  void tell_origin(std::string_view text) noexcept override {
    if (lane()) messages_.tell_origin(text);
  }
  [[nodiscard]] bool tell_writer(const WriterName& name) noexcept override;
  void attach_event(int event_fd) noexcept override { messages_.attach_event(event_fd); }
  void abort_published() noexcept override { messages_.abort_published(); }
  [[nodiscard]] DropReport drops() const noexcept override { return messages_.drops(); }
  [[nodiscard]] std::uint64_t done() const noexcept override { return messages_.done(); }
  void close() noexcept override { messages_.close(); }
  [[nodiscard]] bool is_reader_closed() const noexcept override {
    return messages_.is_peer_closed();
  }
  [[nodiscard]] WaitPoint wait_point() noexcept override { return messages_.space_point(); }
  [[nodiscard]] std::optional<WaitPoint> news_point() noexcept override {
    return messages_.news_point();
  }
  void look_for_news() noexcept override { messages_.look_for_news(); }

 private:
  [[nodiscard]] Transfer open(std::uint32_t bytes) noexcept override;
  void publish() noexcept override;
  void drop() noexcept override;
  // Not lent; the one of an open message among them.
  [[nodiscard]] std::uint64_t free_buffers() const noexcept {
    return messages_.pool()->buffer_count() - messages_.pool()->lent_count();
  }

  LinkWriter messages_;
  std::optional<std::uint32_t> buffer_;  // of the open message
};

// Errors: as LinkSink::attach().
Result<std::unique_ptr<LinkSink>> attach_message_sink(const SegmentDirectory& directory,
                                                      std::string_view name,
                                                      MemoryLock memory_lock) noexcept;

}  // namespace slipring::wire

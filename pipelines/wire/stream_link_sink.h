// A stream of bytes as a wire publishes into it.
//
// One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "pipelines/link/stream_link.h"
#include "pipelines/wire/link_sink.h"

namespace slipring::wire {

class StreamLinkSink final : public LinkSink {
 public:
  explicit StreamLinkSink(StreamWriter stream) noexcept;

  [[nodiscard]] std::optional<ErrorReason> refuses(const WireForm& form) const noexcept override {
    return form.kind == form_.kind ? std::nullopt : std::optional(ErrorReason::kMismatch);
  }
  [[nodiscard]] bool has_space(std::uint32_t bytes) const noexcept override {
    return stream_.has_space(bytes);
  }
  [[nodiscard]] std::uint64_t place_bytes_max() const noexcept override { return capacity(); }
  [[nodiscard]] std::uint64_t position() const noexcept override { return stream_.position(); }
  [[nodiscard]] std::uint64_t position_after() const noexcept override {
    return stream_.position() + open_bytes_;
  }
  [[nodiscard]] std::uint64_t capacity() const noexcept override {
    return stream_.shape().capacity_bytes;
  }
  [[nodiscard]] std::uint64_t credit(const WireForm&) const noexcept override {
    return capacity() - (stream_.position() - stream_.done());
  }
  void attach_event(int event_fd) noexcept override { stream_.attach_event(event_fd); }
  void abort_published() noexcept override { stream_.abort_published(); }
  [[nodiscard]] DropReport drops() const noexcept override { return stream_.drops(); }
  [[nodiscard]] std::uint64_t done() const noexcept override { return stream_.done(); }
  void close() noexcept override { stream_.close(); }
  [[nodiscard]] bool is_reader_closed() const noexcept override { return stream_.is_peer_closed(); }
  [[nodiscard]] WaitPoint wait_point() noexcept override { return stream_.space_point(); }
  [[nodiscard]] std::optional<WaitPoint> news_point() noexcept override {
    return stream_.news_point();
  }
  void look_for_news() noexcept override { stream_.look_for_news(); }

 private:
  [[nodiscard]] Transfer open(std::uint32_t bytes) noexcept override;
  void publish() noexcept override { stream_.commit(open_bytes_); }

  StreamWriter stream_;
};

// Errors: as LinkSink::attach().
Result<std::unique_ptr<LinkSink>> attach_stream_sink(const SegmentDirectory& directory,
                                                     std::string_view name,
                                                     MemoryLock memory_lock) noexcept;

}  // namespace slipring::wire

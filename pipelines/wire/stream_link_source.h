// A stream of bytes as a wire sends it.
//
// One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "pipelines/link/stream_link.h"
#include "pipelines/wire/link_source.h"

namespace slipring::wire {

class StreamLinkSource final : public LinkSource {
 public:
  explicit StreamLinkSource(StreamReader stream) noexcept;

  [[nodiscard]] std::uint64_t done() const noexcept override { return stream_.done(); }
  [[nodiscard]] bool rewind(std::uint64_t position) noexcept override;
  [[nodiscard]] Transfer next(Piece& piece, std::size_t bytes_max) noexcept override;
  [[nodiscard]] bool release(std::uint64_t position) noexcept override;
  // What was under way knows no messages.
  [[nodiscard]] std::uint64_t settle_doomed(std::uint64_t, std::uint64_t) noexcept override {
    return 0;
  }
  [[nodiscard]] bool has_more() const noexcept override {
    return has_abort() || stream_.has_bytes(cursor_ - stream_.done() + 1);
  }
  [[nodiscard]] bool is_at_end() const noexcept override {
    // In this order: what was published before closing is seen now.
    return stream_.is_peer_closed() && !has_more();
  }
  [[nodiscard]] WaitPoint wait_point() noexcept override { return stream_.byte_point(); }
  [[nodiscard]] std::optional<WaitPoint> news_point() noexcept override {
    return stream_.news_point();
  }
  void look_for_news() noexcept override { stream_.look_for_news(); }
  void attach_event(int event_fd) noexcept override { stream_.attach_event(event_fd); }
  void close() noexcept override { stream_.close(); }

 private:
  [[nodiscard]] std::uint64_t abort_word() const noexcept override {
    return stream_.abort_before();
  }
  void drop_before(std::uint64_t) noexcept override { stream_.skip_aborted(); }

  StreamReader stream_;
};

// Errors: as LinkSource::attach().
Result<std::unique_ptr<LinkSource>> attach_stream_source(const SegmentDirectory& directory,
                                                         std::string_view name,
                                                         MemoryLock memory_lock) noexcept;

}  // namespace slipring::wire

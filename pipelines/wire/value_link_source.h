// Typed values as a wire sends them: as their bytes, in runs.
//
// One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "pipelines/link/value_bytes.h"
#include "pipelines/wire/link_source.h"

namespace slipring::wire {

class ValueLinkSource final : public LinkSource {
 public:
  explicit ValueLinkSource(ValueBytesReader values) noexcept;

  [[nodiscard]] std::uint64_t done() const noexcept override { return values_.done(); }
  [[nodiscard]] bool rewind(std::uint64_t position) noexcept override;
  [[nodiscard]] Transfer next(Piece& piece, std::size_t bytes_max) noexcept override;
  [[nodiscard]] bool release(std::uint64_t position) noexcept override;
  [[nodiscard]] std::uint64_t settle_doomed(std::uint64_t aborted,
                                            std::uint64_t arrived) noexcept override;
  [[nodiscard]] bool has_more() const noexcept override {
    return has_abort() || values_.has_value(cursor_);
  }
  [[nodiscard]] bool is_at_end() const noexcept override {
    // In this order: what was published before closing is seen now.
    return values_.is_peer_closed() && !has_more();
  }
  [[nodiscard]] WaitPoint wait_point() noexcept override { return values_.value_point(); }
  [[nodiscard]] std::optional<WaitPoint> news_point() noexcept override {
    return values_.news_point();
  }
  void look_for_news() noexcept override { values_.look_for_news(); }
  void attach_event(int event_fd) noexcept override { values_.attach_event(event_fd); }
  void close() noexcept override { values_.close(); }

 private:
  [[nodiscard]] std::uint64_t abort_word() const noexcept override {
    return values_.abort_before();
  }
  void drop_before(std::uint64_t before) noexcept override;

  ValueBytesReader values_;
  // Of the last abort: the first position that was under way, and the one behind the last.
  std::uint64_t doomed_begin_ = 0;
  std::uint64_t doomed_end_ = 0;
};

// Errors: as LinkSource::attach().
Result<std::unique_ptr<LinkSource>> attach_value_source(const SegmentDirectory& directory,
                                                        std::string_view name,
                                                        MemoryLock memory_lock) noexcept;

}  // namespace slipring::wire

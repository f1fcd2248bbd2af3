// Typed values as a wire publishes them: some at once, with one store.
//
// One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "pipelines/link/value_bytes.h"
#include "pipelines/wire/link_sink.h"

namespace slipring::wire {

class ValueLinkSink final : public LinkSink {
 public:
  explicit ValueLinkSink(ValueBytesWriter values) noexcept;

  [[nodiscard]] std::optional<ErrorReason> refuses(const WireForm& form) const noexcept override;
  [[nodiscard]] bool has_space(std::uint32_t bytes) const noexcept override {
    return values_.has_space(count_in(bytes));
  }
  [[nodiscard]] std::uint64_t place_bytes_max() const noexcept override { return capacity(); }
  [[nodiscard]] std::uint64_t position() const noexcept override { return values_.position(); }
  [[nodiscard]] std::uint64_t position_after() const noexcept override {
    return values_.position() + count_in(open_bytes_);
  }
  [[nodiscard]] std::uint64_t capacity() const noexcept override {
    return values_.shape().slot_count * form_.message_bytes_max;
  }
  [[nodiscard]] std::uint64_t credit(const WireForm&) const noexcept override {
    return capacity() - (values_.position() - values_.done()) * form_.message_bytes_max;
  }
  void attach_event(int event_fd) noexcept override { values_.attach_event(event_fd); }
  void abort_published() noexcept override { values_.abort_published(); }
  [[nodiscard]] DropReport drops() const noexcept override { return values_.drops(); }
  [[nodiscard]] std::uint64_t done() const noexcept override { return values_.done(); }
  void close() noexcept override { values_.close(); }
  [[nodiscard]] bool is_reader_closed() const noexcept override { return values_.is_peer_closed(); }
  [[nodiscard]] WaitPoint wait_point() noexcept override { return values_.space_point(); }
  [[nodiscard]] std::optional<WaitPoint> news_point() noexcept override {
    return values_.news_point();
  }
  void look_for_news() noexcept override { values_.look_for_news(); }

 private:
  [[nodiscard]] std::uint64_t count_in(std::uint32_t bytes) const noexcept {
    return bytes / form_.message_bytes_max;
  }
  [[nodiscard]] Transfer open(std::uint32_t bytes) noexcept override {
    return values_.try_reserve(place_, count_in(bytes));
  }
  void publish() noexcept override { values_.commit(count_in(open_bytes_)); }

  ValueBytesWriter values_;
};

// Errors: as LinkSink::attach().
Result<std::unique_ptr<LinkSink>> attach_value_sink(const SegmentDirectory& directory,
                                                    std::string_view name,
                                                    MemoryLock memory_lock) noexcept;

}  // namespace slipring::wire

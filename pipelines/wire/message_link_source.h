// Records and slots, with or without a pool of buffers, as a wire sends them.
//
// Pool.  A message goes with the bytes of the buffer that it names, whole, and the buffer is given
// back when the message is finished: acknowledged, or aborted.  A buffer that is not lent to us any
// more (a predecessor gave it back, or the writer lies) goes as none.
//
// One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "pipelines/link/link_reader.h"
#include "pipelines/wire/link_source.h"

namespace slipring::wire {

class MessageLinkSource : public LinkSource {
 public:
  explicit MessageLinkSource(LinkReader messages) noexcept;

  [[nodiscard]] std::uint64_t done() const noexcept override { return messages_.done(); }
  [[nodiscard]] bool rewind(std::uint64_t position) noexcept override;
  [[nodiscard]] Transfer next(Piece& piece, std::size_t bytes_max) noexcept override;
  void put_back(const Piece& piece) noexcept override {
    LinkSource::put_back(piece);
    --handed_out_;
  }
  [[nodiscard]] bool release(std::uint64_t position) noexcept override;
  [[nodiscard]] std::uint64_t settle_doomed(std::uint64_t aborted,
                                            std::uint64_t arrived) noexcept override;
  [[nodiscard]] WriterName writer() noexcept override;
  [[nodiscard]] bool has_more() const noexcept override;
  [[nodiscard]] bool is_at_end() const noexcept override {
    // In this order: what was published before closing is seen now.
    return messages_.is_finished() && !has_more();
  }
  [[nodiscard]] WaitPoint wait_point() noexcept override { return messages_.message_point(); }
  [[nodiscard]] std::optional<WaitPoint> news_point() noexcept override {
    return messages_.news_point();
  }
  void look_for_news() noexcept override { messages_.look_for_news(); }
  void attach_event(int event_fd) noexcept override { messages_.attach_event(event_fd); }
  void close() noexcept override { messages_.close(); }

 protected:
  [[nodiscard]] LinkReader& messages() noexcept { return messages_; }
  [[nodiscard]] const LinkReader& messages() const noexcept { return messages_; }
  // Looked at, and not finished.
  [[nodiscard]] bool is_any_held() const noexcept { return held_count_ != 0; }
  // Finishes all of that, handed out or not.
  void drop_held() noexcept {
    finish_first(held_count_);
    cursor_ = messages_.done();
  }

 private:
  static constexpr std::uint32_t kWriterTries = 8;
  struct Held {
    Message message;
    BufferHandle handle{};  // of a pool; read once
  };
  [[nodiscard]] std::uint64_t abort_word() const noexcept override {
    return messages_.abort_before();
  }
  void drop_before(std::uint64_t before) noexcept override;
  [[nodiscard]] bool peek_one() noexcept;
  [[nodiscard]] const Held& held(std::size_t index) const noexcept {
    return held_[(held_first_ + index) % held_.size()];
  }
  void finish_first(std::size_t count) noexcept;

  LinkReader messages_;
  WriterName writer_;
  std::uint32_t writer_incarnation_ = 0;  // that it is of
  std::uint32_t writer_tries_ = 0;        // left, while it is not known
  std::uint64_t writer_asked_at_ = 0;
  bool is_corrupt_ = false;
  std::vector<Held> held_;  // a ring: released at held_first_, peeked behind the last
  std::size_t held_first_ = 0;
  std::size_t held_count_ = 0;
  std::size_t handed_out_ = 0;         // of these
  std::vector<std::uint64_t> doomed_;  // ends of the last abort's, until they are settled
};

// Errors: as LinkSource::attach().
Result<std::unique_ptr<LinkSource>> attach_message_source(const SegmentDirectory& directory,
                                                          std::string_view name,
                                                          MemoryLock memory_lock) noexcept;

}  // namespace slipring::wire

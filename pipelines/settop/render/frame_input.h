// One track's frames as they arrive: handles of pool buffers, looked at one at a time.
//
// What a peer sends is input: a record too short, or a handle that names no buffer lent to us, is
// counted and passed over.  A frame is finished by giving its buffer back and then releasing its
// message; a successor that is sent it again finds the buffer given back, and passes over it too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "pipelines/link/link_reader.h"
#include "pipelines/settop/media_record.h"

namespace slipring::settop {

enum class Look : std::uint8_t {
  kNothing,  // none has arrived
  kFrame,    // one is held: record() and buffer()
  kEvent,    // a record without a buffer is held: record()
  kCorruptPeer,
};

struct FrameInputCounts {
  std::uint64_t aborted_count = 0;   // dropped, for the writer did not want them any more
  std::uint64_t invalid_count = 0;   // passed over
  std::uint64_t finished_count = 0;  // passed over: a predecessor had given the buffer back
};

// One thread.
class FrameInput {
 public:
  // `reader` is of a slot link with a pool, and outlives this.
  explicit FrameInput(LinkReader& reader) noexcept : reader_(reader) {}

  // The frame or event at hand, or the next one.  One that was at hand and has been aborted since
  // is dropped.
  [[nodiscard]] Look look();

  // Requires: the last look() answered kFrame or kEvent.
  [[nodiscard]] const FrameRecord& record() const noexcept { return record_; }
  // Names the message, in this link, for all incarnations.
  [[nodiscard]] std::uint64_t position() const noexcept { return message_.position; }

  // Requires: the last look() answered kFrame.  Valid until finish() or the next look().
  [[nodiscard]] std::span<const std::byte> buffer() const noexcept;

  // Done with what is at hand.
  void finish();

  // Whether look() would answer otherwise than the last time.  Changes nothing.
  [[nodiscard]] bool has_news() const noexcept {
    return held_ == Look::kNothing ? reader_.has_message() || reader_.is_finished()
                                   : reader_.has_abort();
  }
  // Everything has been looked at and finished, and nothing more will come.
  [[nodiscard]] bool is_finished() const noexcept {
    return held_ == Look::kNothing && reader_.is_finished();
  }

  [[nodiscard]] const std::optional<LinkPeer>& offender() const noexcept {
    return reader_.offender();
  }
  [[nodiscard]] const FrameInputCounts& counts() const noexcept { return counts_; }

 private:
  [[nodiscard]] Look examine();
  [[nodiscard]] BufferHandle handle() const noexcept {
    return {record_.buffer_slot, record_.buffer_generation};
  }

  LinkReader& reader_;
  Look held_ = Look::kNothing;
  Message message_;
  FrameRecord record_{};
  FrameInputCounts counts_;
};

}  // namespace slipring::settop

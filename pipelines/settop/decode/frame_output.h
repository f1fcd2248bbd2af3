// A decoder's frames on their way into a link with a buffer pool: the pool's buffers are what the
// codec decodes into, and a frame travels as a handle.
//
// The codec goes on using a buffer after its frame was sent; both uses are told apart by the pool
// (lend and drop).  A pool whose buffers the codec keeps all for itself would be waited for for
// ever: that is a frame dropped, with an error that says so.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/error/result.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/settop/decode/decoder.h"
#include "pipelines/settop/decode/published_stamp.h"
#include "pipelines/stage/stage.h"

namespace slipring::settop {

// A codec's buffer is named by its slot, which is the token.  One thread.
class FrameOutput final : public FrameBuffers, public FrameSink {
 public:
  // `output` has a pool.  Waits for buffers and for space end when `input` has an abort.
  FrameOutput(Stage& stage, LinkReader& input, LinkWriter& output);

  // FrameBuffers.  Errors beside those promised there: kClosed when nobody reads the frames any
  // more, kCorruptPeer.
  Result<FrameBuffer> acquire(std::size_t size_bytes) override;
  void release(std::uint64_t token) override;

  // FrameSink.  Errors: kInterrupted, kClosed, kCorruptPeer.
  Status frame(const FrameRecord& record, std::uint64_t token) override;
  void problem(const Error& error) override;

  // Channel change: what was sent is not wanted any more.
  void abort_sent();

  // Frames not sent because a predecessor had sent them already.
  [[nodiscard]] std::uint64_t repeated_count() const noexcept { return repeated_count_; }
  [[nodiscard]] std::uint64_t sent_count() const noexcept { return sent_count_; }

 private:
  [[nodiscard]] bool is_wanted() const noexcept;
  [[nodiscard]] bool is_free(std::uint32_t slot) const noexcept;
  [[nodiscard]] bool has_free_buffer() const noexcept;
  [[nodiscard]] bool was_sent_before(const FrameRecord& record);

  Stage& stage_;
  LinkReader& input_;
  LinkWriter& output_;
  PoolOwner& pool_;
  PublishedStamp published_;
  std::int64_t sent_until_pts_;  // by a predecessor; kNoTimestamp once that is behind us
  std::array<bool, kMaxPoolBuffers> used_{};
  std::uint64_t repeated_count_ = 0;
  std::uint64_t sent_count_ = 0;
};

}  // namespace slipring::settop

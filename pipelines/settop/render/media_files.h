// The files that a render stage was asked for: Y4M, WAV and digests, continued after a death, begun
// anew where a picture does not fit into the file any more.
//
// An output that fails is told once, counted, and not tried again: a file with a hole would be
// worse than one that ends.  What was written until then stays whole.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "core/error/result.h"
#include "pipelines/link/board.h"
#include "pipelines/settop/render/frame_digest.h"
#include "pipelines/settop/render/frame_view.h"
#include "pipelines/settop/render/pcm_converter.h"
#include "pipelines/settop/render/wav_writer.h"
#include "pipelines/settop/render/y4m_writer.h"

namespace slipring::settop {

// An empty path: no such output.
struct MediaPaths {
  std::string y4m;
  std::string wav;
  std::string digest;
};

// One thread.
class MediaFiles {
 public:
  // Told which file, and what happened to it.
  using Complain = std::function<void(const std::string& path, const Error& error)>;

  // `y4m_number` keeps the number of the Y4M file in use for a successor.
  MediaFiles(MediaPaths paths, Board::Number y4m_number, Complain complain);

  // Opens what was asked for.  False, after complaining, when one cannot be opened.
  [[nodiscard]] bool open(OpenMode mode);

  // `tag` names the frame, in its own track, for all incarnations: one that a predecessor wrote as
  // its last is not written again.
  void add_picture(const PictureView& picture, std::uint64_t tag);
  void add_sound(const PcmBlock& block, std::int64_t pts, std::uint64_t tag);

  [[nodiscard]] bool wants_sound() const noexcept { return wav_ || digest_; }
  // What the continued file holds; 0 when it is fresh.
  [[nodiscard]] std::uint32_t sample_rate_hz() const noexcept {
    return wav_ ? wav_->sample_rate_hz() : 0;
  }
  [[nodiscard]] std::uint32_t channel_count() const noexcept {
    return wav_ ? wav_->channel_count() : 0;
  }

  // The orderly end.
  void close();

  [[nodiscard]] std::uint64_t failure_count() const noexcept { return failure_count_; }

 private:
  void begin_next_y4m();
  void fail(const std::string& path, const Error& error);

  MediaPaths paths_;
  Board::Number y4m_number_;
  Complain complain_;
  std::optional<Y4mWriter> y4m_;
  std::optional<WavWriter> wav_;
  std::optional<FrameDigest> digest_;
  std::uint64_t failure_count_ = 0;
};

}  // namespace slipring::settop

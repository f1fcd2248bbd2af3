// A line for each frame with the MD5 of what it shows or plays, in the manner of ffmpeg's framemd5:
//
//   # stream, pts, size, md5
//   0, 129600, 152064, 6d6ef5bd3cbbf2f5e0b0c8a7ec1b8d6f
//
// Size and MD5 are those that `ffmpeg -f framemd5` prints for the same frame: of a picture its
// visible rows without padding, of sound its interleaved 16-bit samples.  Stream 0 is the pictures,
// 1 the sound; pts counts 90 kHz ticks, and is "none" where it is unknown.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/error/result.h"
#include "pipelines/settop/render/append_file.h"
#include "pipelines/settop/render/frame_view.h"
#include "pipelines/settop/render/pcm_converter.h"

struct AVMD5;

namespace slipring::settop {

// One thread at a time.
class FrameDigest {
 public:
  // With kContinue, a torn line at the end is cut off.  Errors: those of AppendFile; kNoSpace.
  static Result<FrameDigest> open(std::string path, OpenMode mode);

  FrameDigest(FrameDigest&&) noexcept;
  ~FrameDigest();

  // Errors: those of AppendFile::append().
  [[nodiscard]] Status append(const PictureView& picture, std::uint64_t tag);
  [[nodiscard]] Status append(const PcmBlock& block, std::int64_t pts, std::uint64_t tag);

  [[nodiscard]] Status close() { return file_.close(); }
  [[nodiscard]] std::optional<std::uint64_t> last_tag() const noexcept { return file_.last_tag(); }
  [[nodiscard]] const std::string& path() const noexcept { return file_.path(); }

 private:
  FrameDigest(AppendFile file, AVMD5* md5) : file_(std::move(file)), md5_(md5) {}

  [[nodiscard]] Status write_line(int stream, std::int64_t pts, std::uint64_t size_bytes,
                                  std::uint64_t tag);

  AppendFile file_;
  AVMD5* md5_;
};

}  // namespace slipring::settop

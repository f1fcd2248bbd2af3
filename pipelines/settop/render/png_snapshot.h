// One picture as a PNG file that is always whole: written beside and renamed into place, so that
// whoever looks sees the picture before or the picture after.
#pragma once

#include <cstdint>
#include <string>

#include "core/error/result.h"
#include "pipelines/settop/render/frame_view.h"

struct AVCodecContext;
struct AVFrame;
struct AVPacket;
struct SwsContext;

namespace slipring::settop {

// Keeps its converter and encoder from picture to picture.  One thread at a time.
class PngSnapshot {
 public:
  PngSnapshot() = default;
  PngSnapshot(const PngSnapshot&) = delete;
  PngSnapshot& operator=(const PngSnapshot&) = delete;
  ~PngSnapshot();

  // Writes `path` anew, with mode 0644.  Errors: kNoSpace, kPermission, kNotFound, kSystem with
  // errno; kUnsupported for a picture that cannot be encoded.
  [[nodiscard]] Status write(const std::string& path, const PictureView& picture);

  // The same in two steps, which two threads may take one after the other: a picture is converted
  // in a few milliseconds and not needed after that; compressing it takes many.
  [[nodiscard]] Status convert(const PictureView& picture);
  [[nodiscard]] Status write_converted(const std::string& path);

 private:
  [[nodiscard]] Status configure(const PictureView& picture);
  void close();

  SwsContext* scaler_ = nullptr;
  AVCodecContext* encoder_ = nullptr;
  AVFrame* rgb_ = nullptr;
  AVPacket* packet_ = nullptr;
  PixelFormat format_ = PixelFormat::kNone;
  std::uint32_t width_px_ = 0;
  std::uint32_t height_px_ = 0;
};

}  // namespace slipring::settop

// A frame as the output parts see it: planes that have been checked to lie within their buffer.
//
// A FrameRecord comes from another process.  view_picture() and view_sound() are the one place
// where its numbers are judged; what they answer can be read without further checks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/error/result.h"
#include "pipelines/settop/media_record.h"

namespace slipring::settop {

// How the samples of a pixel format lie in memory.
struct PixelShape {
  std::size_t plane_count;
  std::uint32_t chroma_width_shift;
  std::uint32_t chroma_height_shift;
  std::uint32_t sample_bytes;
  bool full_range;
};
// plane_count 0 for kNone and for values that no enumerator has.
[[nodiscard]] PixelShape shape_of(PixelFormat format) noexcept;

struct PlaneView {
  const std::byte* data = nullptr;
  std::size_t stride_bytes = 0;
  std::size_t row_bytes = 0;  // the visible part of a row
  std::size_t row_count = 0;
};

struct PictureView {
  PixelFormat format = PixelFormat::kNone;
  std::uint32_t width_px = 0;
  std::uint32_t height_px = 0;
  std::size_t plane_count = 0;
  PlaneView planes[3];
  bool interlaced = false;
  bool top_field_first = false;
  std::uint32_t sample_aspect_num = 0;  // 0 when unknown
  std::uint32_t sample_aspect_den = 0;
  std::uint32_t frame_rate_num = 0;  // 0 when unknown
  std::uint32_t frame_rate_den = 0;
  std::int64_t pts = kNoTimestamp;
};

struct SoundView {
  SampleFormat format = SampleFormat::kNone;
  std::uint32_t sample_rate_hz = 0;
  std::uint32_t channel_count = 0;
  std::uint32_t sample_count = 0;  // a channel
  std::size_t plane_count = 0;
  const std::byte* planes[kMaxPlanes] = {};
  std::int64_t pts = kNoTimestamp;
};

inline constexpr std::uint32_t kMaxPictureSidePx = 16384;
inline constexpr std::uint32_t kMaxSampleRateHz = 768'000;
inline constexpr std::uint32_t kMaxSampleCount = 1 << 16;

// `record` is the caller's private copy; `buffer` is the pool buffer that it names, and is not
// looked into.  Errors: kCorruptPeer, with the offending value.
[[nodiscard]] Result<PictureView> view_picture(const FrameRecord& record,
                                               std::span<const std::byte> buffer) noexcept;
[[nodiscard]] Result<SoundView> view_sound(const FrameRecord& record,
                                           std::span<const std::byte> buffer) noexcept;

}  // namespace slipring::settop

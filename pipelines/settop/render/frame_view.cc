#include "pipelines/settop/render/frame_view.h"

namespace slipring::settop {
namespace {

Error corrupt(const char* doing, std::uint64_t found, std::uint64_t wanted) {
  return {.code = ErrorCode::kCorruptPeer, .doing = doing, .found = found, .wanted = wanted};
}

bool is_planar(SampleFormat format) {
  return format == SampleFormat::kFloatPlanar || format == SampleFormat::kS16Planar ||
         format == SampleFormat::kS32Planar;
}

// 0 for kNone and for values that no enumerator has.
std::size_t bytes_of(SampleFormat format) {
  switch (format) {
    case SampleFormat::kS16Planar:
    case SampleFormat::kS16:
      return 2;
    case SampleFormat::kFloatPlanar:
    case SampleFormat::kFloat:
    case SampleFormat::kS32Planar:
    case SampleFormat::kS32:
      return 4;
    case SampleFormat::kNone:
      break;
  }
  return 0;
}

}  // namespace

PixelShape shape_of(PixelFormat format) noexcept {
  switch (format) {
    case PixelFormat::kYuv420p:
      return {3, 1, 1, 1, false};
    case PixelFormat::kYuv422p:
      return {3, 1, 0, 1, false};
    case PixelFormat::kYuv444p:
      return {3, 0, 0, 1, false};
    case PixelFormat::kYuv420p10:
      return {3, 1, 1, 2, false};
    case PixelFormat::kYuv422p10:
      return {3, 1, 0, 2, false};
    case PixelFormat::kYuvj420p:
      return {3, 1, 1, 1, true};
    case PixelFormat::kYuvj422p:
      return {3, 1, 0, 1, true};
    case PixelFormat::kYuvj444p:
      return {3, 0, 0, 1, true};
    case PixelFormat::kGray8:
      return {1, 0, 0, 1, false};
    case PixelFormat::kNone:
      break;
  }
  return {};
}

Result<PictureView> view_picture(const FrameRecord& record,
                                 std::span<const std::byte> buffer) noexcept {
  PictureView view;
  view.format = static_cast<PixelFormat>(record.format);
  const PixelShape shape = shape_of(view.format);
  if (shape.plane_count == 0) return corrupt("reading a pixel format", record.format, 0);
  if (record.plane_count != shape.plane_count) {
    return corrupt("reading a picture's plane count", record.plane_count, shape.plane_count);
  }
  for (const std::uint32_t side_px : {record.width_px, record.height_px}) {
    if (side_px == 0 || side_px > kMaxPictureSidePx) {
      return corrupt("reading a picture's size", side_px, kMaxPictureSidePx);
    }
  }
  view.width_px = record.width_px;
  view.height_px = record.height_px;
  view.plane_count = shape.plane_count;
  for (std::size_t plane = 0; plane < shape.plane_count; ++plane) {
    const std::uint32_t width_shift = plane == 0 ? 0 : shape.chroma_width_shift;
    const std::uint32_t height_shift = plane == 0 ? 0 : shape.chroma_height_shift;
    const std::uint32_t width = (record.width_px + (1U << width_shift) - 1) >> width_shift;
    const std::uint32_t height = (record.height_px + (1U << height_shift) - 1) >> height_shift;
    const std::size_t row_bytes = std::size_t{width} * shape.sample_bytes;
    const std::int32_t stride_bytes = record.plane_stride_bytes[plane];
    if (stride_bytes < 0 || static_cast<std::size_t>(stride_bytes) < row_bytes) {
      return corrupt("reading a picture's stride", static_cast<std::uint32_t>(stride_bytes),
                     row_bytes);
    }
    // At most 2^31 * 2^14 and so far from the end of 64 bits.
    const std::uint64_t end = std::uint64_t{record.plane_offset_bytes[plane]} +
                              static_cast<std::uint64_t>(stride_bytes) * (height - 1) + row_bytes;
    if (end > buffer.size()) return corrupt("reading a picture's planes", end, buffer.size());
    view.planes[plane] = {.data = buffer.data() + record.plane_offset_bytes[plane],
                          .stride_bytes = static_cast<std::size_t>(stride_bytes),
                          .row_bytes = row_bytes,
                          .row_count = height};
  }
  view.interlaced = (record.flags & kInterlaced) != 0;
  view.top_field_first = (record.flags & kTopFieldFirst) != 0;
  if (record.sample_aspect_num != 0 && record.sample_aspect_den != 0) {
    view.sample_aspect_num = record.sample_aspect_num;
    view.sample_aspect_den = record.sample_aspect_den;
  }
  if (record.frame_rate_num != 0 && record.frame_rate_den != 0) {
    view.frame_rate_num = record.frame_rate_num;
    view.frame_rate_den = record.frame_rate_den;
  }
  view.pts = record.pts;
  return view;
}

Result<SoundView> view_sound(const FrameRecord& record,
                             std::span<const std::byte> buffer) noexcept {
  SoundView view;
  view.format = static_cast<SampleFormat>(record.format);
  const std::size_t sample_bytes = bytes_of(view.format);
  if (sample_bytes == 0) return corrupt("reading a sample format", record.format, 0);
  if (record.channel_count == 0 || record.channel_count > kMaxPlanes) {
    return corrupt("reading a channel count", record.channel_count, kMaxPlanes);
  }
  if (record.sample_rate_hz == 0 || record.sample_rate_hz > kMaxSampleRateHz) {
    return corrupt("reading a sample rate", record.sample_rate_hz, kMaxSampleRateHz);
  }
  if (record.sample_count == 0 || record.sample_count > kMaxSampleCount) {
    return corrupt("reading a sample count", record.sample_count, kMaxSampleCount);
  }
  const bool planar = is_planar(view.format);
  view.plane_count = planar ? record.channel_count : 1;
  if (record.plane_count != view.plane_count) {
    return corrupt("reading sound's plane count", record.plane_count, view.plane_count);
  }
  const std::size_t plane_bytes =
      std::size_t{record.sample_count} * sample_bytes * (planar ? 1 : record.channel_count);
  for (std::size_t plane = 0; plane < view.plane_count; ++plane) {
    const std::uint64_t end = std::uint64_t{record.plane_offset_bytes[plane]} + plane_bytes;
    if (end > buffer.size()) return corrupt("reading sound's planes", end, buffer.size());
    view.planes[plane] = buffer.data() + record.plane_offset_bytes[plane];
  }
  view.sample_rate_hz = record.sample_rate_hz;
  view.channel_count = record.channel_count;
  view.sample_count = record.sample_count;
  view.pts = record.pts;
  return view;
}

}  // namespace slipring::settop

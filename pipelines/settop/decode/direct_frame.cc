#include "pipelines/settop/decode/direct_frame.h"

#include <algorithm>
#include <new>

#include "pipelines/settop/decode/av_format.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavutil/buffer.h>
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <libavutil/samplefmt.h>
}

namespace slipring::settop {
namespace {

// libavcodec's own allocator leaves as much behind each plane.
constexpr std::size_t kPlaneSlackBytes = 16 + kFrameAlignmentBytes;

struct Layout {
  std::size_t plane_count = 0;
  std::size_t offset_bytes[kMaxPlanes] = {};
  int stride_bytes[kMaxPlanes] = {};
  std::size_t size_bytes = 0;
};

constexpr std::size_t round_up(std::size_t bytes) {
  return (bytes + kFrameAlignmentBytes - 1) / kFrameAlignmentBytes * kFrameAlignmentBytes;
}

// Requires: width_px and height_px already grown to what the codec writes.
Result<Layout> picture_layout(AVPixelFormat format, int width_px, int height_px,
                              const int (&stride_align)[AV_NUM_DATA_POINTERS]) {
  constexpr Error kImpossible{.code = ErrorCode::kUnsupported,
                              .doing = "laying out a picture of impossible size"};
  if (av_image_check_size(static_cast<unsigned>(width_px), static_cast<unsigned>(height_px), 0,
                          nullptr) < 0) {
    return kImpossible;
  }
  int stride[4] = {};
  for (bool aligned = false; !aligned;) {
    if (av_image_fill_linesizes(stride, format, width_px) < 0) return kImpossible;
    aligned = true;
    for (int plane = 0; plane < 4; ++plane) {
      const int align = std::max(stride_align[plane], static_cast<int>(kFrameAlignmentBytes));
      if (stride[plane] % align != 0) aligned = false;
    }
    if (!aligned) width_px += width_px & -width_px;  // grow towards a power of two
  }
  const ptrdiff_t wide_stride[4] = {stride[0], stride[1], stride[2], stride[3]};
  std::size_t size_bytes[4] = {};
  if (av_image_fill_plane_sizes(size_bytes, format, height_px, wide_stride) < 0) return kImpossible;
  Layout layout;
  for (std::size_t plane = 0; plane < 4 && size_bytes[plane] > 0; ++plane) {
    layout.offset_bytes[plane] = layout.size_bytes;
    layout.stride_bytes[plane] = stride[plane];
    layout.size_bytes += round_up(size_bytes[plane] + kPlaneSlackBytes);
    layout.plane_count = plane + 1;
  }
  return layout;
}

Result<Layout> picture_layout(AVCodecContext& context, const AVFrame& frame) {
  const auto format = static_cast<AVPixelFormat>(frame.format);
  if (pixel_format_of(format) == PixelFormat::kNone) {
    return Error{.code = ErrorCode::kUnsupported, .doing = "decoding into a pixel format unknown"};
  }
  int width_px = frame.width;
  int height_px = frame.height;
  int stride_align[AV_NUM_DATA_POINTERS] = {};
  avcodec_align_dimensions2(&context, &width_px, &height_px, stride_align);
  return picture_layout(format, width_px, height_px, stride_align);
}

Result<Layout> sound_layout(const AVFrame& frame) {
  const auto format = static_cast<AVSampleFormat>(frame.format);
  const int channel_count = frame.ch_layout.nb_channels;
  const bool planar = av_sample_fmt_is_planar(format) == 1;
  if (sample_format_of(format) == SampleFormat::kNone || channel_count < 1 ||
      (planar && channel_count > static_cast<int>(kMaxPlanes))) {
    return Error{.code = ErrorCode::kUnsupported, .doing = "decoding into a sample format unknown"};
  }
  int plane_bytes = 0;
  if (av_samples_get_buffer_size(&plane_bytes, channel_count, frame.nb_samples, format,
                                 static_cast<int>(kFrameAlignmentBytes)) < 0) {
    return Error{.code = ErrorCode::kUnsupported, .doing = "laying out impossible sound"};
  }
  Layout layout;
  layout.plane_count = planar ? static_cast<std::size_t>(channel_count) : 1;
  for (std::size_t plane = 0; plane < layout.plane_count; ++plane) {
    layout.offset_bytes[plane] = layout.size_bytes;
    layout.stride_bytes[plane] = plane_bytes;
    layout.size_bytes += round_up(static_cast<std::size_t>(plane_bytes) + kPlaneSlackBytes);
  }
  return layout;
}

bool is_video(const AVCodecContext& context) {
  return context.codec_type == AVMEDIA_TYPE_VIDEO;
}

void drop_lease(void* opaque, std::uint8_t* /*data*/) {
  auto* lease = static_cast<FrameLease*>(opaque);
  lease->buffers->release(lease->buffer.token);
  delete lease;
}

// The bytes of plane `plane` that a reader of the frame may look at.
std::size_t used_bytes(const AVFrame& frame, std::size_t plane) {
  if (frame.width > 0) {
    const auto format = static_cast<AVPixelFormat>(frame.format);
    const int row_bytes = av_image_get_linesize(format, frame.width, static_cast<int>(plane));
    const AVPixFmtDescriptor* description = av_pix_fmt_desc_get(format);
    if (row_bytes <= 0 || frame.linesize[plane] < row_bytes) return SIZE_MAX;
    const int shift = plane == 1 || plane == 2 ? description->log2_chroma_h : 0;
    const int rows = AV_CEIL_RSHIFT(frame.height, shift);
    return static_cast<std::size_t>(frame.linesize[plane]) * static_cast<std::size_t>(rows - 1) +
           static_cast<std::size_t>(row_bytes);
  }
  const auto format = static_cast<AVSampleFormat>(frame.format);
  const auto channels = av_sample_fmt_is_planar(format) == 1
                            ? std::size_t{1}
                            : static_cast<std::size_t>(frame.ch_layout.nb_channels);
  return static_cast<std::size_t>(frame.nb_samples) * channels *
         static_cast<std::size_t>(av_get_bytes_per_sample(format));
}

std::size_t plane_count_of(const AVFrame& frame) {
  if (frame.width > 0) {
    const int count = av_pix_fmt_count_planes(static_cast<AVPixelFormat>(frame.format));
    return count < 0 ? 0 : static_cast<std::size_t>(count);
  }
  return av_sample_fmt_is_planar(static_cast<AVSampleFormat>(frame.format)) == 1
             ? static_cast<std::size_t>(frame.ch_layout.nb_channels)
             : 1;
}

std::uint32_t flags_of(const AVFrame& frame) {
  std::uint32_t flags = 0;
  if (frame.key_frame != 0) flags |= kKeyFrame;
  if (frame.interlaced_frame != 0) flags |= kInterlaced;
  if (frame.top_field_first != 0) flags |= kTopFieldFirst;
  if ((frame.flags & AV_FRAME_FLAG_CORRUPT) != 0 || frame.decode_error_flags != 0) {
    flags |= kCorruptFrame;
  }
  return flags;
}

}  // namespace

Status place_frame(AVCodecContext& context, AVFrame& frame, FrameBuffers& buffers) {
  Result<Layout> laid_out =
      is_video(context) ? picture_layout(context, frame) : sound_layout(frame);
  if (!laid_out) return laid_out.error();
  const Layout& layout = laid_out.value();
  // Planes, offsets and sizes travel as 32 bits.
  if (layout.size_bytes > INT32_MAX) {
    return Error{.code = ErrorCode::kUnsupported, .doing = "laying out a frame beyond 2 GiB"};
  }
  Result<FrameBuffer> acquired = buffers.acquire(layout.size_bytes);
  if (!acquired) return acquired.error();
  const FrameBuffer buffer = acquired.value();
  auto* lease = new (std::nothrow) FrameLease{.buffers = &buffers, .buffer = buffer};
  auto* base = reinterpret_cast<std::uint8_t*>(buffer.data);
  frame.buf[0] =
      lease == nullptr ? nullptr : av_buffer_create(base, layout.size_bytes, &drop_lease, lease, 0);
  if (frame.buf[0] == nullptr) {
    delete lease;
    buffers.release(buffer.token);
    return Error{.code = ErrorCode::kNoSpace, .doing = "allocating a frame's reference"};
  }
  for (std::size_t plane = 0; plane < kMaxPlanes; ++plane) {
    const bool used = plane < layout.plane_count;
    frame.data[plane] = used ? base + layout.offset_bytes[plane] : nullptr;
    frame.linesize[plane] = used ? layout.stride_bytes[plane] : 0;
  }
  if (!is_video(context)) {
    // One size stands for all planes of sound.
    for (std::size_t plane = 1; plane < kMaxPlanes; ++plane) frame.linesize[plane] = 0;
  }
  frame.extended_data = frame.data;
  frame.opaque = lease;
  return {};
}

FrameLease* lease_of(const AVFrame& frame) {
  static_assert(AV_NUM_DATA_POINTERS == kMaxPlanes);
  auto* lease = static_cast<FrameLease*>(frame.opaque);
  if (lease == nullptr || frame.buf[0] == nullptr) return nullptr;
  const auto first = reinterpret_cast<std::uintptr_t>(lease->buffer.data);
  const std::size_t plane_count = plane_count_of(frame);
  if (plane_count == 0 || plane_count > kMaxPlanes) return nullptr;
  for (std::size_t plane = 0; plane < plane_count; ++plane) {
    const auto start = reinterpret_cast<std::uintptr_t>(frame.data[plane]);
    if (start < first || start - first > lease->buffer.size_bytes) return nullptr;
    if (used_bytes(frame, plane) > lease->buffer.size_bytes - (start - first)) return nullptr;
  }
  return lease;
}

Result<FrameRecord> describe_frame(const AVFrame& frame, const FrameLease& lease) {
  FrameRecord record{};
  record.event = FrameEvent::kFrame;
  const bool video = frame.width > 0;
  record.kind = video ? StreamKind::kVideo : StreamKind::kAudio;
  record.format = video ? static_cast<std::uint32_t>(pixel_format_of(frame.format))
                        : static_cast<std::uint32_t>(sample_format_of(frame.format));
  if (record.format == 0) {
    return Error{.code = ErrorCode::kUnsupported, .doing = "describing a frame's format"};
  }
  record.pts =
      frame.best_effort_timestamp == AV_NOPTS_VALUE ? kNoTimestamp : frame.best_effort_timestamp;
  record.flags = flags_of(frame);
  record.plane_count = static_cast<std::uint32_t>(plane_count_of(frame));
  const auto* base = reinterpret_cast<const std::uint8_t*>(lease.buffer.data);
  for (std::size_t plane = 0; plane < record.plane_count; ++plane) {
    record.plane_offset_bytes[plane] = static_cast<std::uint32_t>(frame.data[plane] - base);
    record.plane_stride_bytes[plane] =
        video ? frame.linesize[plane] : static_cast<std::int32_t>(used_bytes(frame, plane));
  }
  if (video) {
    record.width_px = static_cast<std::uint32_t>(frame.width);
    record.height_px = static_cast<std::uint32_t>(frame.height);
    const AVRational aspect = frame.sample_aspect_ratio;
    if (aspect.num > 0 && aspect.den > 0) {
      record.sample_aspect_num = static_cast<std::uint32_t>(aspect.num);
      record.sample_aspect_den = static_cast<std::uint32_t>(aspect.den);
    }
  } else {
    record.sample_rate_hz = static_cast<std::uint32_t>(frame.sample_rate);
    record.channel_count = static_cast<std::uint32_t>(frame.ch_layout.nb_channels);
    record.sample_count = static_cast<std::uint32_t>(frame.nb_samples);
  }
  return record;
}

std::size_t picture_buffer_bytes(PixelFormat format, std::uint32_t width_px,
                                 std::uint32_t height_px) {
  constexpr std::uint32_t kLargestSide = 16384;
  if (to_av(format) == AV_PIX_FMT_NONE || width_px == 0 || height_px == 0) return 0;
  if (width_px > kLargestSide || height_px > kLargestSide) return 0;
  std::size_t size_bytes = 0;
  for (const AVCodecID codec : {AV_CODEC_ID_H264, AV_CODEC_ID_MPEG2VIDEO, AV_CODEC_ID_HEVC}) {
    AVCodecContext* context = avcodec_alloc_context3(nullptr);
    if (context == nullptr) return 0;
    context->codec_id = codec;
    context->pix_fmt = static_cast<AVPixelFormat>(to_av(format));
    // The coded picture is whole coding blocks, of at most 64 x 64.
    int width = static_cast<int>((width_px + 63) / 64 * 64);
    int height = static_cast<int>((height_px + 63) / 64 * 64);
    int stride_align[AV_NUM_DATA_POINTERS] = {};
    avcodec_align_dimensions2(context, &width, &height, stride_align);
    Result<Layout> layout = picture_layout(context->pix_fmt, width, height, stride_align);
    if (layout) size_bytes = std::max(size_bytes, layout.value().size_bytes);
    avcodec_free_context(&context);
  }
  return size_bytes;
}

}  // namespace slipring::settop

#include "pipelines/settop/decode/av_format.h"

#include <iterator>

extern "C" {
#include <libavcodec/codec_id.h>
#include <libavutil/pixfmt.h>
#include <libavutil/samplefmt.h>
}

namespace slipring::settop {
namespace {

struct PixelRow {
  PixelFormat ours;
  AVPixelFormat av;
};
constexpr PixelRow kPixelRows[] = {
    {PixelFormat::kYuv420p, AV_PIX_FMT_YUV420P},
    {PixelFormat::kYuv422p, AV_PIX_FMT_YUV422P},
    {PixelFormat::kYuv444p, AV_PIX_FMT_YUV444P},
    {PixelFormat::kYuv420p10, AV_PIX_FMT_YUV420P10LE},
    {PixelFormat::kYuv422p10, AV_PIX_FMT_YUV422P10LE},
    {PixelFormat::kYuvj420p, AV_PIX_FMT_YUVJ420P},
    {PixelFormat::kYuvj422p, AV_PIX_FMT_YUVJ422P},
    {PixelFormat::kYuvj444p, AV_PIX_FMT_YUVJ444P},
    {PixelFormat::kGray8, AV_PIX_FMT_GRAY8},
};

struct SampleRow {
  SampleFormat ours;
  AVSampleFormat av;
};
constexpr SampleRow kSampleRows[] = {
    {SampleFormat::kFloatPlanar, AV_SAMPLE_FMT_FLTP}, {SampleFormat::kFloat, AV_SAMPLE_FMT_FLT},
    {SampleFormat::kS16Planar, AV_SAMPLE_FMT_S16P},   {SampleFormat::kS16, AV_SAMPLE_FMT_S16},
    {SampleFormat::kS32Planar, AV_SAMPLE_FMT_S32P},   {SampleFormat::kS32, AV_SAMPLE_FMT_S32},
};

struct CodecRow {
  Codec ours;
  AVCodecID av;
  StreamKind kind;
  const char* name;
};
// The MPEG-2 decoder reads MPEG-1 pictures too; for the layers of MPEG audio see decoder.cc.
constexpr CodecRow kCodecRows[] = {
    {Codec::kMpeg2Video, AV_CODEC_ID_MPEG2VIDEO, StreamKind::kVideo, "MPEG-2 video"},
    {Codec::kH264, AV_CODEC_ID_H264, StreamKind::kVideo, "H.264"},
    {Codec::kMpegAudio, AV_CODEC_ID_MP3, StreamKind::kAudio, "MPEG audio"},
    {Codec::kAacAdts, AV_CODEC_ID_AAC, StreamKind::kAudio, "AAC"},
    {Codec::kAacLatm, AV_CODEC_ID_AAC_LATM, StreamKind::kAudio, "AAC in LATM"},
    {Codec::kHevc, AV_CODEC_ID_HEVC, StreamKind::kVideo, "HEVC"},
    {Codec::kAc3, AV_CODEC_ID_AC3, StreamKind::kAudio, "AC-3"},
};

const CodecRow* row_of(Codec codec) noexcept {
  for (const CodecRow& row : kCodecRows) {
    if (row.ours == codec) return &row;
  }
  return nullptr;
}

}  // namespace

int to_av(PixelFormat format) noexcept {
  for (const PixelRow& row : kPixelRows) {
    if (row.ours == format) return row.av;
  }
  return AV_PIX_FMT_NONE;
}

PixelFormat pixel_format_of(int av_pixel_format) noexcept {
  for (const PixelRow& row : kPixelRows) {
    if (row.av == av_pixel_format) return row.ours;
  }
  return PixelFormat::kNone;
}

int to_av(SampleFormat format) noexcept {
  for (const SampleRow& row : kSampleRows) {
    if (row.ours == format) return row.av;
  }
  return AV_SAMPLE_FMT_NONE;
}

SampleFormat sample_format_of(int av_sample_format) noexcept {
  for (const SampleRow& row : kSampleRows) {
    if (row.av == av_sample_format) return row.ours;
  }
  return SampleFormat::kNone;
}

int to_av(Codec codec) noexcept {
  const CodecRow* row = row_of(codec);
  return row == nullptr ? AV_CODEC_ID_NONE : row->av;
}

const char* name_of(Codec codec) noexcept {
  const CodecRow* row = row_of(codec);
  return row == nullptr ? "unknown codec" : row->name;
}

StreamKind kind_of(Codec codec) noexcept {
  const CodecRow* row = row_of(codec);
  return row == nullptr ? StreamKind::kVideo : row->kind;
}

}  // namespace slipring::settop

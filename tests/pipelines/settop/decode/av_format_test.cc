#include "pipelines/settop/decode/av_format.h"

#include <doctest/doctest.h>

extern "C" {
#include <libavcodec/codec_id.h>
#include <libavutil/pixfmt.h>
#include <libavutil/samplefmt.h>
}

namespace slipring::settop {
namespace {

TEST_CASE("av_format: every format of the records goes to libav and back") {
  for (std::uint32_t value = 1; value <= 9; ++value) {
    const auto format = static_cast<PixelFormat>(value);
    CHECK(to_av(format) != AV_PIX_FMT_NONE);
    CHECK(pixel_format_of(to_av(format)) == format);
  }
  for (std::uint32_t value = 1; value <= 6; ++value) {
    const auto format = static_cast<SampleFormat>(value);
    CHECK(to_av(format) != AV_SAMPLE_FMT_NONE);
    CHECK(sample_format_of(to_av(format)) == format);
  }
}

TEST_CASE("av_format: what is in no table is none") {
  CHECK(to_av(PixelFormat::kNone) == AV_PIX_FMT_NONE);
  CHECK(to_av(static_cast<PixelFormat>(10)) == AV_PIX_FMT_NONE);
  CHECK(pixel_format_of(AV_PIX_FMT_RGB24) == PixelFormat::kNone);
  CHECK(to_av(static_cast<SampleFormat>(7)) == AV_SAMPLE_FMT_NONE);
  CHECK(sample_format_of(AV_SAMPLE_FMT_DBL) == SampleFormat::kNone);
  CHECK(to_av(Codec::kUnknown) == AV_CODEC_ID_NONE);
  CHECK(to_av(static_cast<Codec>(99)) == AV_CODEC_ID_NONE);
}

TEST_CASE("av_format: every codec has a kind") {
  CHECK(kind_of(Codec::kH264) == StreamKind::kVideo);
  CHECK(kind_of(Codec::kMpeg2Video) == StreamKind::kVideo);
  CHECK(kind_of(Codec::kMpegAudio) == StreamKind::kAudio);
  CHECK(kind_of(Codec::kAacLatm) == StreamKind::kAudio);
}

}  // namespace
}  // namespace slipring::settop

#include "pipelines/settop/render/pcm_converter.h"

#include "pipelines/settop/decode/av_format.h"

extern "C" {
#include <libavutil/channel_layout.h>
#include <libswresample/swresample.h>
}

namespace slipring::settop {

PcmConverter::~PcmConverter() {
  swr_free(&resampler_);
}

void PcmConverter::reset() {
  swr_free(&resampler_);
  out_rate_hz_ = 0;
  out_channel_count_ = 0;
}

void PcmConverter::set_output(std::uint32_t sample_rate_hz, std::uint32_t channel_count) noexcept {
  swr_free(&resampler_);
  out_rate_hz_ = sample_rate_hz;
  out_channel_count_ = channel_count;
}

Status PcmConverter::configure(const SoundView& sound) {
  swr_free(&resampler_);
  if (out_rate_hz_ == 0) {
    out_rate_hz_ = sound.sample_rate_hz;
    out_channel_count_ = sound.channel_count;
  }
  AVChannelLayout in{};
  AVChannelLayout out{};
  av_channel_layout_default(&in, static_cast<int>(sound.channel_count));
  av_channel_layout_default(&out, static_cast<int>(out_channel_count_));
  const auto in_format = static_cast<AVSampleFormat>(to_av(sound.format));
  const int allocated =
      swr_alloc_set_opts2(&resampler_, &out, AV_SAMPLE_FMT_S16, static_cast<int>(out_rate_hz_), &in,
                          in_format, static_cast<int>(sound.sample_rate_hz), 0, nullptr);
  av_channel_layout_uninit(&in);
  av_channel_layout_uninit(&out);
  if (allocated < 0 || swr_init(resampler_) < 0) {
    swr_free(&resampler_);
    return Error{.code = ErrorCode::kUnsupported,
                 .doing = "converting sound to 16 bits",
                 .found = sound.sample_rate_hz,
                 .wanted = out_rate_hz_};
  }
  in_format_ = sound.format;
  in_rate_hz_ = sound.sample_rate_hz;
  in_channel_count_ = sound.channel_count;
  return {};
}

Result<PcmBlock> PcmConverter::convert(const SoundView& sound) {
  if (resampler_ == nullptr || sound.format != in_format_ || sound.sample_rate_hz != in_rate_hz_ ||
      sound.channel_count != in_channel_count_) {
    if (Status configured = configure(sound); !configured) return configured.error();
  }
  const int room = swr_get_out_samples(resampler_, static_cast<int>(sound.sample_count));
  if (room < 0) {
    return Error{.code = ErrorCode::kUnsupported, .doing = "sizing converted sound"};
  }
  samples_.resize(static_cast<std::size_t>(room) * out_channel_count_);
  const std::uint8_t* in[kMaxPlanes] = {};
  for (std::size_t plane = 0; plane < sound.plane_count; ++plane) {
    in[plane] = reinterpret_cast<const std::uint8_t*>(sound.planes[plane]);
  }
  auto* out = reinterpret_cast<std::uint8_t*>(samples_.data());
  const int got = swr_convert(resampler_, &out, room, in, static_cast<int>(sound.sample_count));
  if (got < 0) {
    return Error{.code = ErrorCode::kUnsupported, .doing = "converting sound to 16 bits"};
  }
  const std::size_t value_count = static_cast<std::size_t>(got) * out_channel_count_;
  return PcmBlock{.samples = std::span(samples_).first(value_count),
                  .sample_rate_hz = out_rate_hz_,
                  .channel_count = out_channel_count_};
}

}  // namespace slipring::settop

// Any decoded sound into interleaved 16-bit samples, by the same arithmetic as the ffmpeg program's
// default conversion.
//
// The first sound sets rate and channels of all that comes out; later sound of another kind is
// resampled and remixed to it, until reset().
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/error/result.h"
#include "pipelines/settop/render/frame_view.h"

struct SwrContext;

namespace slipring::settop {

struct PcmBlock {
  std::span<const std::int16_t> samples;  // interleaved; valid until the next conversion
  std::uint32_t sample_rate_hz = 0;
  std::uint32_t channel_count = 0;
};

// One thread at a time.
class PcmConverter {
 public:
  PcmConverter() = default;
  PcmConverter(const PcmConverter&) = delete;
  PcmConverter& operator=(const PcmConverter&) = delete;
  ~PcmConverter();

  // Errors: kUnsupported when libswresample refuses, kNoSpace.
  [[nodiscard]] Result<PcmBlock> convert(const SoundView& sound);

  // Fixes what comes out, in place of the first sound; for continuing a file.
  void set_output(std::uint32_t sample_rate_hz, std::uint32_t channel_count) noexcept;

  // Forgets the past: the next sound sets the output again.
  void reset();

 private:
  [[nodiscard]] Status configure(const SoundView& sound);

  SwrContext* resampler_ = nullptr;
  SampleFormat in_format_ = SampleFormat::kNone;
  std::uint32_t in_rate_hz_ = 0;
  std::uint32_t in_channel_count_ = 0;
  std::uint32_t out_rate_hz_ = 0;
  std::uint32_t out_channel_count_ = 0;
  std::vector<std::int16_t> samples_;
};

}  // namespace slipring::settop

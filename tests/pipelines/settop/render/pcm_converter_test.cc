#include "pipelines/settop/render/pcm_converter.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

namespace slipring::settop {
namespace {

// Two planes of floats.
struct TestSound {
  std::vector<float> left;
  std::vector<float> right;

  [[nodiscard]] SoundView view(std::uint32_t rate_hz) const {
    SoundView view;
    view.format = SampleFormat::kFloatPlanar;
    view.sample_rate_hz = rate_hz;
    view.channel_count = 2;
    view.sample_count = static_cast<std::uint32_t>(left.size());
    view.plane_count = 2;
    view.planes[0] = reinterpret_cast<const std::byte*>(left.data());
    view.planes[1] = reinterpret_cast<const std::byte*>(right.data());
    return view;
  }
};

TEST_CASE("pcm_converter: planes are interleaved, scaled and clipped") {
  const TestSound sound{.left = {0.0F, 0.5F, 2.0F}, .right = {-1.0F, -0.25F, -3.0F}};
  PcmConverter converter;
  Result<PcmBlock> block = converter.convert(sound.view(48'000));
  REQUIRE(block.ok());
  CHECK(block->sample_rate_hz == 48'000);
  CHECK(block->channel_count == 2);
  const std::vector<std::int16_t> samples(block->samples.begin(), block->samples.end());
  CHECK(samples == std::vector<std::int16_t>{0, -32768, 16384, -8192, 32767, -32768});
}

TEST_CASE("pcm_converter: later sound of another rate is resampled to the first's, until reset") {
  const TestSound first{.left = std::vector<float>(480), .right = std::vector<float>(480)};
  const TestSound second{.left = std::vector<float>(4410, 0.5F),
                         .right = std::vector<float>(4410, 0.5F)};
  PcmConverter converter;
  REQUIRE(converter.convert(first.view(48'000)).ok());
  Result<PcmBlock> block = converter.convert(second.view(44'100));
  REQUIRE(block.ok());
  CHECK(block->sample_rate_hz == 48'000);
  CHECK(block->samples.size() > 2 * 4700);  // 4800 less the filter's delay
  CHECK(block->samples.size() <= 2 * 4800);
  CHECK(block->samples[5000] == doctest::Approx(16384).epsilon(0.01));
  converter.reset();
  Result<PcmBlock> anew = converter.convert(second.view(44'100));
  REQUIRE(anew.ok());
  CHECK(anew->sample_rate_hz == 44'100);
  CHECK(anew->samples.size() == 2 * 4410);
}

TEST_CASE("pcm_converter: the output can be set in advance") {
  const TestSound sound{.left = std::vector<float>(4800, 0.25F),
                        .right = std::vector<float>(4800, 0.25F)};
  PcmConverter converter;
  converter.set_output(48'000, 1);
  Result<PcmBlock> block = converter.convert(sound.view(48'000));
  REQUIRE(block.ok());
  CHECK(block->channel_count == 1);
  CHECK(block->samples.size() == 4800);
}

}  // namespace
}  // namespace slipring::settop

#include "pipelines/settop/render/wav_writer.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <random>
#include <string>
#include <vector>

#include "tests/pipelines/settop/decode/stream_fixture.h"

namespace slipring::settop {
namespace {

using Samples = std::vector<std::int16_t>;

Samples noise(std::size_t value_count, std::uint32_t seed = 1) {
  std::mt19937 random(seed);
  Samples samples(value_count);
  for (std::int16_t& sample : samples) sample = static_cast<std::int16_t>(random());
  return samples;
}

PcmBlock block_of(const Samples& samples, std::uint32_t rate_hz, std::uint32_t channel_count) {
  return {.samples = samples, .sample_rate_hz = rate_hz, .channel_count = channel_count};
}

WavWriter open_writer(const std::string& path, OpenMode mode) {
  Result<WavWriter> writer = WavWriter::open(path, mode);
  REQUIRE(writer.ok());
  return std::move(writer).value();
}

Samples played(const std::string& path) {
  run_ffmpeg("-i " + path + " -f s16le " + path + ".raw");
  const std::vector<std::byte> bytes = read_file(path + ".raw");
  const auto* first = reinterpret_cast<const std::int16_t*>(bytes.data());
  return {first, first + bytes.size() / sizeof(std::int16_t)};
}

std::string properties(const std::string& path) {
  return output_of(
      "ffprobe -v error -of csv=p=0 -show_entries "
      "stream=codec_name,sample_rate,channels,channel_layout " +
      path);
}

TEST_CASE("wav_writer: ffmpeg plays back what was written") {
  for (const std::uint32_t channel_count : {1U, 2U, 6U}) {
    CAPTURE(channel_count);
    const std::string path = scratch_path("plain.wav");
    WavWriter writer = open_writer(path, OpenMode::kStartAfresh);
    const Samples samples = noise(1000 * channel_count);
    REQUIRE(writer.append(block_of(samples, 44'100, channel_count), 1).ok());
    CHECK(writer.sample_count() == 1000);
    REQUIRE(writer.close().ok());
    CHECK((played(path) == samples));
  }
  CHECK(properties(scratch_path("plain.wav")) == "pcm_s16le,44100,6,5.1\n");
}

TEST_CASE("wav_writer: the file of a killed process plays up to its last second") {
  const std::string path = scratch_path("unclosed.wav");
  Samples all;
  {
    WavWriter writer = open_writer(path, OpenMode::kStartAfresh);
    for (std::uint32_t block = 0; block < 25; ++block) {  // 2.5 s
      const Samples samples = noise(800, block);
      REQUIRE(writer.append(block_of(samples, 8000, 1), block).ok());
      all.insert(all.end(), samples.begin(), samples.end());
    }
    // Ends without close(), as by a death.
  }
  // A reader that trusts the header; ffmpeg would read on to the end.
  const std::vector<std::byte> bytes = read_file(path);
  CHECK(bytes.size() == 44 + all.size() * 2);
  const auto size_at = [&](std::size_t at) {
    return std::to_integer<std::size_t>(bytes[at]) | std::to_integer<std::size_t>(bytes[at + 1])
                                                         << 8;
  };
  CHECK(size_at(40) == 2 * 16'000);
  CHECK(size_at(4) == 36 + 2 * 16'000);
  // Whoever continues makes the sizes whole, and knows the last block.
  WavWriter writer = open_writer(path, OpenMode::kContinue);
  CHECK(writer.last_tag() == 24);
  CHECK(writer.sample_rate_hz() == 8000);
  CHECK(writer.channel_count() == 1);
  CHECK((played(path) == all));
  const Samples more = noise(100, 77);
  REQUIRE(writer.append(block_of(more, 8000, 1), 25).ok());
  REQUIRE(writer.close().ok());
  all.insert(all.end(), more.begin(), more.end());
  CHECK((played(path) == all));
}

TEST_CASE("wav_writer: a torn sample is cut off") {
  const std::string path = scratch_path("torn.wav");
  {
    WavWriter writer = open_writer(path, OpenMode::kStartAfresh);
    REQUIRE(writer.append(block_of(noise(200), 8000, 2), 0).ok());
    REQUIRE(writer.close().ok());
  }
  REQUIRE(::truncate(path.c_str(), 44 + 4 * 50 + 3) == 0);
  WavWriter writer = open_writer(path, OpenMode::kContinue);
  CHECK(writer.sample_count() == 50);
  REQUIRE(writer.close().ok());
  CHECK(played(path).size() == 100);
}

TEST_CASE("wav_writer: sound of another kind and foreign files are refused") {
  const std::string path = scratch_path("refused.wav");
  WavWriter writer = open_writer(path, OpenMode::kStartAfresh);
  const Samples samples = noise(200);
  REQUIRE(writer.append(block_of(samples, 8000, 2), 0).ok());
  CHECK(writer.append(block_of(samples, 16'000, 2), 1).error().code == ErrorCode::kInvalidArgument);
  CHECK(writer.append(block_of(samples, 8000, 1), 1).error().code == ErrorCode::kInvalidArgument);
  const std::string foreign = scratch_path("foreign.wav");
  run_ffmpeg("-f lavfi -i sine=d=0.1 -c:a pcm_s24le " + foreign);
  CHECK(WavWriter::open(foreign, OpenMode::kContinue).error().code == ErrorCode::kVersion);
}

}  // namespace
}  // namespace slipring::settop

#include "pipelines/settop/render/frame_digest.h"

#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <vector>

#include "tests/pipelines/settop/decode/stream_fixture.h"
#include "tests/pipelines/settop/render/picture_fixture.h"

namespace slipring::settop {
namespace {

FrameDigest open_digest(const std::string& path, OpenMode mode) {
  Result<FrameDigest> digest = FrameDigest::open(path, mode);
  REQUIRE(digest.ok());
  return std::move(digest).value();
}

std::string text_of(const std::string& path) {
  return output_of("cat " + path);
}

// Size and digest as ffmpeg tells them, of raw data in a file.
std::string framemd5_of(const std::string& raw_path, const std::string& input_options) {
  std::istringstream lines(
      output_of("ffmpeg -v quiet " + input_options + " -i " + raw_path + " -f framemd5 -"));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("#")) continue;
    char size[24];
    char md5[40];
    REQUIRE(std::sscanf(line.c_str(), "%*d, %*d, %*d, %*d, %20s %33s", size, md5) == 2);
    return std::string(size) + " " + md5;
  }
  return "nothing";
}

TEST_CASE("frame_digest: a picture's line carries ffmpeg's size and digest, whatever its padding") {
  for (const std::size_t padding_bytes : {std::size_t{0}, std::size_t{11}}) {
    const TestPicture picture = noise_picture(PixelFormat::kYuv420p, 322, 182, padding_bytes, 5);
    const std::string path = scratch_path("picture.md5");
    FrameDigest digest = open_digest(path, OpenMode::kStartAfresh);
    REQUIRE(digest.append(picture.view(), 1).ok());
    REQUIRE(digest.close().ok());
    const std::string raw = scratch_path("picture.raw");
    write_file(raw, picture.visible());
    CHECK(text_of(path) == "# stream, pts, size, md5\n0, 18000, " +
                               framemd5_of(raw, "-f rawvideo -pix_fmt yuv420p -s 322x182") + "\n");
  }
}

TEST_CASE("frame_digest: a block of sound has a line too, and an unknown time is none") {
  const std::vector<std::int16_t> samples(1024, 77);
  const std::string path = scratch_path("sound.md5");
  FrameDigest digest = open_digest(path, OpenMode::kStartAfresh);
  const PcmBlock block{.samples = samples, .sample_rate_hz = 48'000, .channel_count = 2};
  REQUIRE(digest.append(block, kNoTimestamp, 1).ok());
  const std::string raw = scratch_path("sound.raw");
  const auto* first = reinterpret_cast<const std::byte*>(samples.data());
  write_file(raw, {first, first + samples.size() * 2});
  CHECK(text_of(path) ==
        "# stream, pts, size, md5\n1, none, " + framemd5_of(raw, "-f s16le -ac 2") + "\n");
}

TEST_CASE("frame_digest: a successor cuts a torn line and goes on") {
  const std::string path = scratch_path("continued.md5");
  const TestPicture picture = noise_picture(PixelFormat::kGray8, 16, 16);
  {
    FrameDigest digest = open_digest(path, OpenMode::kStartAfresh);
    REQUIRE(digest.append(picture.view(), 1).ok());
    REQUIRE(digest.close().ok());
  }
  const std::string one_line = text_of(path);
  run("printf '0, 7200, 25' >> " + path);
  FrameDigest digest = open_digest(path, OpenMode::kContinue);
  REQUIRE(digest.append(picture.view(), 2).ok());
  CHECK(digest.last_tag() == 2);
  const std::string last = one_line.substr(one_line.find('\n') + 1);
  CHECK(text_of(path) == one_line + last);
}

}  // namespace
}  // namespace slipring::settop

#include "pipelines/settop/render/png_snapshot.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "tests/pipelines/settop/decode/stream_fixture.h"
#include "tests/pipelines/settop/render/picture_fixture.h"

namespace slipring::settop {
namespace {

std::vector<int> rgb_of(const std::string& path) {
  run_ffmpeg("-i " + path + " -f rawvideo -pix_fmt rgb24 " + path + ".rgb");
  std::vector<int> values;
  for (const std::byte byte : read_file(path + ".rgb"))
    values.push_back(std::to_integer<int>(byte));
  return values;
}

// Every pixel is that colour, give or take rounding.
bool is_plain(const std::vector<int>& rgb, std::size_t pixel_count, int red, int green, int blue) {
  if (rgb.size() != 3 * pixel_count) return false;
  const int wanted[3] = {red, green, blue};
  for (std::size_t at = 0; at < rgb.size(); ++at) {
    if (std::abs(rgb[at] - wanted[at % 3]) > 2) {
      MESSAGE("value " << at << " is " << rgb[at]);
      return false;
    }
  }
  return true;
}

TEST_CASE("png_snapshot: colours are those of the picture's matrix") {
  const std::string path = scratch_path("colour.png");
  PngSnapshot snapshot;
  // Red in BT.601, for standard definition.
  REQUIRE(snapshot.write(path, plain_picture(64, 48, 81, 90, 240).view()).ok());
  CHECK(is_plain(rgb_of(path), 64 * 48, 255, 0, 0));
  // Red in BT.709, for high definition; a new size, too.
  REQUIRE(snapshot.write(path, plain_picture(64, 720, 63, 102, 240).view()).ok());
  CHECK(is_plain(rgb_of(path), 64 * 720, 255, 0, 0));
  // White, at an odd size.
  REQUIRE(snapshot.write(path, plain_picture(33, 21, 235, 128, 128).view()).ok());
  CHECK(is_plain(rgb_of(path), 33 * 21, 255, 255, 255));
}

TEST_CASE("png_snapshot: full range is not stretched") {
  const std::string path = scratch_path("full.png");
  TestPicture grey = plain_picture(32, 32, 100, 128, 128);
  grey.record.format = static_cast<std::uint32_t>(PixelFormat::kYuvj420p);
  PngSnapshot snapshot;
  REQUIRE(snapshot.write(path, grey.view()).ok());
  CHECK(is_plain(rgb_of(path), 32 * 32, 100, 100, 100));
}

TEST_CASE("png_snapshot: every format makes a picture, from rows that end with the buffer") {
  const std::string path = scratch_path("formats.png");
  PngSnapshot snapshot;
  for (std::uint32_t format = 1; format <= 9; ++format) {
    CAPTURE(format);
    const TestPicture picture = noise_picture(static_cast<PixelFormat>(format), 127, 63);
    REQUIRE(snapshot.write(path, picture.view()).ok());
    CHECK(rgb_of(path).size() == 127 * 63 * 3);
  }
}

TEST_CASE("png_snapshot: what fails leaves the old picture and nothing beside it") {
  const std::string path = scratch_path("kept.png");
  PngSnapshot snapshot;
  const TestPicture picture = plain_picture(64, 48, 81, 90, 240);
  REQUIRE(snapshot.write(path, picture.view()).ok());
  CHECK(::access((path + ".part").c_str(), F_OK) != 0);
  run("mkdir -p " + path + ".part");  // the place beside is taken
  CHECK(!snapshot.write(path, plain_picture(64, 48, 16, 128, 128).view()).ok());
  run("rmdir " + path + ".part");
  CHECK(is_plain(rgb_of(path), 64 * 48, 255, 0, 0));
  CHECK(snapshot.write(scratch_path("none/x.png"), picture.view()).error().code ==
        ErrorCode::kNotFound);
}

}  // namespace
}  // namespace slipring::settop

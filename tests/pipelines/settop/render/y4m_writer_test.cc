#include "pipelines/settop/render/y4m_writer.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/pipelines/settop/decode/stream_fixture.h"
#include "tests/pipelines/settop/render/picture_fixture.h"

namespace slipring::settop {
namespace {

Y4mWriter open_writer(const std::string& path, OpenMode mode) {
  Result<Y4mWriter> writer = Y4mWriter::open(path, mode);
  REQUIRE(writer.ok());
  return std::move(writer).value();
}

std::vector<std::byte> raw_video_of(const std::string& path) {
  run_ffmpeg("-i " + path + " -f rawvideo " + path + ".raw");
  return read_file(path + ".raw");
}

void add(std::vector<std::byte>& all, const TestPicture& picture) {
  const std::vector<std::byte> bytes = picture.visible();
  all.insert(all.end(), bytes.begin(), bytes.end());
}

TEST_CASE("y4m_writer: ffmpeg reads every format back byte for byte, padded rows and odd sizes") {
  for (std::uint32_t format = 1; format <= 9; ++format) {
    CAPTURE(format);
    for (const std::size_t padding_bytes : {std::size_t{0}, std::size_t{30}}) {
      const std::string path = scratch_path("formats.y4m");
      Y4mWriter writer = open_writer(path, OpenMode::kStartAfresh);
      std::vector<std::byte> expected;
      for (std::uint32_t number = 1; number <= 3; ++number) {
        const TestPicture picture =
            noise_picture(static_cast<PixelFormat>(format), 131, 75, padding_bytes, number);
        REQUIRE(writer.append(picture.view(), number).ok());
        add(expected, picture);
      }
      CHECK(writer.picture_count() == 3);
      REQUIRE(writer.close().ok());
      CHECK((raw_video_of(path) == expected));
    }
  }
}

TEST_CASE("y4m_writer: the header tells rate, aspect and field order") {
  const std::string path = scratch_path("header.y4m");
  TestPicture picture = noise_picture(PixelFormat::kYuv420p, 720, 576);
  picture.record.frame_rate_num = 30'000;
  picture.record.frame_rate_den = 1001;
  picture.record.sample_aspect_num = 16;
  picture.record.sample_aspect_den = 11;
  picture.record.flags = kInterlaced | kTopFieldFirst;
  Y4mWriter writer = open_writer(path, OpenMode::kStartAfresh);
  REQUIRE(writer.append(picture.view(), 0).ok());
  REQUIRE(writer.close().ok());
  CHECK(output_of("ffprobe -v quiet -of csv=p=0 -show_entries stream=width,height,pix_fmt,"
                  "sample_aspect_ratio,field_order,r_frame_rate " +
                  path) == "720,576,16:11,yuv420p,tt,30000/1001\n");
}

TEST_CASE("y4m_writer: a successor goes on behind the last whole picture") {
  const std::string path = scratch_path("continued.y4m");
  const TestPicture first = noise_picture(PixelFormat::kYuv420p, 64, 48, 0, 1);
  const TestPicture second = noise_picture(PixelFormat::kYuv420p, 64, 48, 0, 2);
  const TestPicture third = noise_picture(PixelFormat::kYuv420p, 64, 48, 0, 3);
  std::uint64_t two_pictures_bytes = 0;
  {
    Y4mWriter writer = open_writer(path, OpenMode::kStartAfresh);
    REQUIRE(writer.append(first.view(), 1).ok());
    REQUIRE(writer.append(second.view(), 2).ok());
    two_pictures_bytes = writer.size_bytes();
    REQUIRE(writer.append(third.view(), 3).ok());
    REQUIRE(writer.close().ok());
  }
  // Closed in order and cut by somebody else: the file's own form tells.
  REQUIRE(::truncate(path.c_str(), static_cast<off_t>(two_pictures_bytes + 100)) == 0);
  Y4mWriter writer = open_writer(path, OpenMode::kContinue);
  CHECK(writer.picture_count() == 2);
  REQUIRE(writer.append(third.view(), 3).ok());
  REQUIRE(writer.close().ok());
  std::vector<std::byte> expected;
  for (const TestPicture* picture : {&first, &second, &third}) add(expected, *picture);
  CHECK((raw_video_of(path) == expected));
}

TEST_CASE("y4m_writer: a picture of another size or format is refused, the file stays whole") {
  const std::string path = scratch_path("refused.y4m");
  const TestPicture picture = noise_picture(PixelFormat::kYuv420p, 64, 48);
  Y4mWriter writer = open_writer(path, OpenMode::kStartAfresh);
  REQUIRE(writer.append(picture.view(), 1).ok());
  const std::uint64_t before = writer.size_bytes();
  const Status other_size = writer.append(noise_picture(PixelFormat::kYuv420p, 64, 50).view(), 2);
  CHECK(other_size.error().code == ErrorCode::kInvalidArgument);
  const Status other_format = writer.append(noise_picture(PixelFormat::kYuv422p, 64, 48).view(), 3);
  CHECK(other_format.error().code == ErrorCode::kInvalidArgument);
  CHECK(writer.size_bytes() == before);
  CHECK(writer.append(picture.view(), 4).ok());
}

TEST_CASE("y4m_writer: a foreign file is not continued, a torn header is begun again") {
  const std::string foreign = scratch_path("foreign.y4m");
  run("printf 'somebody elses text\\n' > " + foreign);
  CHECK(Y4mWriter::open(foreign, OpenMode::kContinue).error().code == ErrorCode::kVersion);
  CHECK(output_of("cat " + foreign) == "somebody elses text\n");
  const std::string torn = scratch_path("torn.y4m");
  run("printf 'YUV4MPEG2 W64 H4' > " + torn);
  const TestPicture picture = noise_picture(PixelFormat::kYuv420p, 64, 48);
  Y4mWriter writer = open_writer(torn, OpenMode::kContinue);
  REQUIRE(writer.append(picture.view(), 1).ok());
  REQUIRE(writer.close().ok());
  CHECK((raw_video_of(torn) == picture.visible()));
}

}  // namespace
}  // namespace slipring::settop

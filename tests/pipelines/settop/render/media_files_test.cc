#include "pipelines/settop/render/media_files.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <vector>

#include "tests/pipelines/settop/decode/stream_fixture.h"
#include "tests/pipelines/settop/render/picture_fixture.h"

namespace slipring::settop {
namespace {

struct Complaints {
  std::vector<std::string> paths;
  std::vector<ErrorCode> codes;

  [[nodiscard]] MediaFiles::Complain sink() {
    return [this](const std::string& path, const Error& error) {
      paths.push_back(path);
      codes.push_back(error.code);
    };
  }
};

MediaPaths paths_of(const std::string& name) {
  return {scratch_path(name + ".y4m"), scratch_path(name + ".wav"), scratch_path(name + ".md5")};
}

const std::vector<std::int16_t> kSamples(1600, 11);
PcmBlock block() {
  return {.samples = kSamples, .sample_rate_hz = 8000, .channel_count = 2};
}

std::size_t picture_count(const std::string& path) {
  return ffmpeg_video_frames(path).size();
}

TEST_CASE("media_files: a frame delivered again after a death is written once") {
  Complaints complaints;
  std::atomic<std::uint64_t> number_word{0};
  const MediaPaths paths = paths_of("again");
  const TestPicture picture = noise_picture(PixelFormat::kYuv420p, 64, 48);
  {
    MediaFiles files(paths, Board::Number(number_word), complaints.sink());
    REQUIRE(files.open(OpenMode::kStartAfresh));
    files.add_picture(picture.view(), 7);
    files.add_sound(block(), 100, 7);
    files.add_picture(picture.view(), 8);
    // Dies: what follows was not finished.
  }
  MediaFiles files(paths, Board::Number(number_word), complaints.sink());
  REQUIRE(files.open(OpenMode::kContinue));
  CHECK(files.sample_rate_hz() == 8000);
  CHECK(files.channel_count() == 2);
  files.add_picture(picture.view(), 8);
  files.add_sound(block(), 100, 7);
  files.add_picture(picture.view(), 9);
  files.add_sound(block(), 200, 8);
  files.close();
  CHECK(complaints.paths.empty());
  CHECK(picture_count(paths.y4m) == 3);
  CHECK(read_file(paths.wav).size() == 44 + 2 * kSamples.size() * 2);
  // The digest's last line was picture 8; sound 7 came before it, so its line repeats.
  CHECK(output_of("grep -c '^0' " + paths.digest) == "3\n");
}

TEST_CASE(
    "media_files: a picture that does not fit begins the next file, a successor knows which") {
  Complaints complaints;
  std::atomic<std::uint64_t> number_word{0};
  const MediaPaths paths = paths_of("sizes");
  const TestPicture small = noise_picture(PixelFormat::kYuv420p, 64, 48);
  const TestPicture large = noise_picture(PixelFormat::kYuv420p, 128, 96);
  {
    MediaFiles files(paths, Board::Number(number_word), complaints.sink());
    REQUIRE(files.open(OpenMode::kStartAfresh));
    files.add_picture(small.view(), 1);
    files.add_picture(large.view(), 2);
  }
  CHECK(number_word == 2);
  MediaFiles files(paths, Board::Number(number_word), complaints.sink());
  REQUIRE(files.open(OpenMode::kContinue));
  files.add_picture(large.view(), 3);
  files.close();
  CHECK(complaints.paths.empty());
  CHECK(picture_count(paths.y4m) == 1);
  CHECK(picture_count(scratch_path("sizes-2.y4m")) == 2);
}

TEST_CASE("media_files: an output that fails is told once, the others go on") {
  Complaints complaints;
  MediaPaths paths = paths_of("full");
  paths.y4m = "/dev/full";
  MediaFiles files(paths, Board::Number(), complaints.sink());
  REQUIRE(files.open(OpenMode::kStartAfresh));
  const TestPicture picture = noise_picture(PixelFormat::kYuv420p, 64, 48);
  files.add_picture(picture.view(), 1);
  files.add_picture(picture.view(), 2);
  files.close();
  CHECK(complaints.paths == std::vector<std::string>{"/dev/full"});
  CHECK(complaints.codes == std::vector<ErrorCode>{ErrorCode::kNoSpace});
  CHECK(files.failure_count() == 1);
  CHECK(output_of("grep -c '^0' " + paths.digest) == "2\n");
}

TEST_CASE("media_files: a path that cannot be opened is told at once") {
  Complaints complaints;
  MediaPaths paths;
  paths.wav = scratch_path("no/such/folder.wav");
  MediaFiles files(paths, Board::Number(), complaints.sink());
  CHECK(!files.open(OpenMode::kStartAfresh));
  CHECK(complaints.paths == std::vector<std::string>{paths.wav});
}

}  // namespace
}  // namespace slipring::settop

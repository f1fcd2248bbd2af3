#include "pipelines/settop/decode/decoder.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/pipelines/settop/decode/decoder_bench.h"
#include "tests/pipelines/settop/decode/heap_buffers.h"
#include "tests/pipelines/settop/decode/stream_fixture.h"

namespace slipring::settop {
namespace {

// The video of `path` through the decoder, against the ffmpeg program.
void check_video(const std::string& path, Codec codec, std::size_t piece_bytes) {
  const std::vector<FrameLine> expected = ffmpeg_video_frames(path);
  REQUIRE(expected.size() > 10);
  Bench bench;
  REQUIRE(bench.feed(codec, pes_packets(read_file(path), kFirstPid), piece_bytes).ok());
  REQUIRE(bench.decoder.drain().ok());
  CHECK(bench.recorder.pictures.size() == expected.size());
  CHECK(bench.recorder.pictures == expected);
  CHECK(bench.decoder.stats().frames_direct == expected.size());
  CHECK(bench.decoder.stats().frames_copied == 0);
  CHECK(bench.pool.held.empty());
}

TEST_CASE("decoder: H.264 with B-frames comes out as from ffmpeg, cropped sizes included") {
  const std::string path = scratch_path("h264.ts");
  make_video(path, "testsrc2=size=322x182:rate=25:duration=3",
             "-c:v libx264 -preset veryfast -g 24 -bf 3 -pix_fmt yuv420p");
  check_video(path, Codec::kH264, 1021);
}

TEST_CASE("decoder: interlaced H.264 comes out as from ffmpeg, and says so") {
  const std::string path = scratch_path("h264i.ts");
  make_video(path, "testsrc2=size=352x288:rate=50:duration=2",
             "-vf tinterlace=interleave_top -c:v libx264 -preset veryfast -flags +ilme+ildct "
             "-x264-params tff=1 -bf 2");
  check_video(path, Codec::kH264, kMaxElementaryBytes);
  Bench bench;
  REQUIRE(bench.feed(Codec::kH264, pes_packets(read_file(path), kFirstPid), 4096).ok());
  const FrameRecord& first = bench.recorder.records.front();
  CHECK((first.flags & kInterlaced) != 0);
  CHECK((first.flags & kTopFieldFirst) != 0);
  CHECK((first.flags & kKeyFrame) != 0);
}

TEST_CASE("decoder: H.264 of ten bits and 4:2:2 comes out as from ffmpeg") {
  const std::string path = scratch_path("h264high.ts");
  make_video(path, "testsrc2=size=160x120:rate=25:duration=1",
             "-c:v libx264 -preset veryfast -pix_fmt yuv422p10le");
  check_video(path, Codec::kH264, 3000);
}

TEST_CASE("decoder: MPEG-2 with B-frames comes out as from ffmpeg") {
  const std::string path = scratch_path("mpeg2.ts");
  make_video(path, "testsrc2=size=352x288:rate=30000/1001:duration=3",
             "-c:v mpeg2video -g 12 -bf 2 -b:v 1500k");
  check_video(path, Codec::kMpeg2Video, 1021);
}

TEST_CASE("decoder: interlaced MPEG-2 comes out as from ffmpeg") {
  const std::string path = scratch_path("mpeg2i.ts");
  make_video(path, "testsrc2=size=352x288:rate=50:duration=2",
             "-vf tinterlace=interleave_top -c:v mpeg2video -flags +ilme+ildct -top 1 -bf 2 "
             "-b:v 2000k");
  check_video(path, Codec::kMpeg2Video, 8000);
}

TEST_CASE("decoder: MPEG-1 pictures in an MPEG-2 stream come out as from ffmpeg") {
  const std::string path = scratch_path("mpeg1.ts");
  make_video(path, "testsrc2=size=176x144:rate=25:duration=2", "-c:v mpeg1video -bf 2");
  check_video(path, Codec::kMpeg2Video, 2000);
}

TEST_CASE("decoder: a stream joined in the middle of a group comes out as from ffmpeg") {
  struct Case {
    const char* name;
    Codec codec;
    const char* options;
  };
  const Case cases[] = {
      {"h264", Codec::kH264, "-c:v libx264 -preset veryfast -g 25 -bf 3"},
      {"open", Codec::kH264, "-c:v libx264 -preset veryfast -x264-params open-gop=1:keyint=25"},
      {"refresh", Codec::kH264, "-c:v libx264 -x264-params intra-refresh=1:keyint=25:bframes=0"},
      {"mpeg2", Codec::kMpeg2Video, "-c:v mpeg2video -g 12 -bf 2"},
  };
  for (const Case& one : cases) {
    CAPTURE(std::string(one.name));
    const std::string path = scratch_path(std::string("whole_") + one.name + ".ts");
    make_video(path, "testsrc2=size=176x144:rate=25:duration=6", one.options);
    std::vector<std::byte> bytes = read_file(path);
    bytes.erase(bytes.begin(),
                bytes.begin() + static_cast<std::ptrdiff_t>(bytes.size() / 188 / 3 * 188));
    const std::string cut = scratch_path(std::string("cut_") + one.name + ".ts");
    write_file(cut, bytes);
    check_video(cut, one.codec, 5000);
  }
}

// The sound of `path` through the decoder, against the ffmpeg program.
void check_sound(const std::string& path, Codec codec, const std::string& sample_format,
                 std::size_t piece_bytes) {
  const std::string raw = path + ".raw";
  run_ffmpeg("-i " + path + " -map 0:a -f " + sample_format + " " + raw);
  Bench bench;
  REQUIRE(bench.feed(codec, pes_packets(read_file(path), kFirstPid), piece_bytes).ok());
  REQUIRE(bench.decoder.drain().ok());
  const std::vector<std::byte> expected = read_file(raw);
  CHECK(bench.recorder.sound.size() == expected.size());
  CHECK((bench.recorder.sound == expected));
  CHECK(bench.decoder.stats().frames_copied == 0);
  CHECK(bench.decoder.stats().frames_direct == bench.recorder.records.size());
  CHECK(bench.pool.held.empty());
  std::int64_t before = INT64_MIN;
  for (const FrameRecord& record : bench.recorder.records) {
    CHECK(record.pts > before);  // also of frames that share a PES packet
    before = record.pts;
  }
}

TEST_CASE("decoder: sound comes out as from ffmpeg") {
  struct Case {
    const char* name;
    Codec codec;
    const char* sample_format;  // the decoder's own, interleaved
    const char* options;
  };
  const Case cases[] = {
      {"aac", Codec::kAacAdts, "f32le", "-c:a aac -b:a 96k"},
      {"aac51", Codec::kAacAdts, "f32le", "-ac 6 -c:a aac -b:a 256k"},
      {"latm", Codec::kAacLatm, "f32le", "-c:a aac -mpegts_flags latm"},
      {"mp2", Codec::kMpegAudio, "s16le", "-c:a mp2 -b:a 192k -ac 2"},
      {"mp3", Codec::kMpegAudio, "f32le", "-c:a libmp3lame -b:a 128k -ac 2"},
      {"ac3", Codec::kAc3, "f32le", "-c:a ac3 -b:a 192k -ac 2"},
  };
  for (const Case& one : cases) {
    CAPTURE(std::string(one.name));
    const std::string path = scratch_path(std::string(one.name) + ".ts");
    run_ffmpeg("-f lavfi -i \"aevalsrc=sin(440*2*PI*t)|sin(523*2*PI*t*t/3)*0.5:s=48000:d=3\" " +
               std::string(one.options) + " -f mpegts " + path);
    check_sound(path, one.codec, one.sample_format, 333);
  }
}

TEST_CASE("decoder: a frame inherits the origin of the PES packet that it came in") {
  const std::string path = scratch_path("origin.ts");
  make_video(path, "testsrc2=size=176x144:rate=25:duration=2", "-c:v libx264 -bf 3");
  Bench bench;
  REQUIRE(bench.feed(Codec::kH264, pes_packets(read_file(path), kFirstPid), 777).ok());
  REQUIRE(bench.decoder.drain().ok());
  REQUIRE(bench.recorder.records.size() == 50);
  std::uint64_t count = 0;
  for (const FrameRecord& record : bench.recorder.records) {
    CHECK(record.origin_ns == static_cast<std::uint64_t>(record.pts));  // as Bench::feed() has it
    CHECK(record.change_ns == 7);
    CHECK(record.program_number == 1);
    CHECK(record.sequence_count == count++);
    CHECK(record.frame_rate_num == 25 * record.frame_rate_den);
  }
}

TEST_CASE("decoder: the advised buffer size holds every frame") {
  struct Case {
    Codec codec;
    std::uint32_t width_px;
    std::uint32_t height_px;
    const char* options;
  };
  const Case cases[] = {
      {Codec::kH264, 352, 288, "-c:v libx264"},
      {Codec::kH264, 322, 182, "-c:v libx264"},
      {Codec::kMpeg2Video, 720, 576, "-c:v mpeg2video -flags +ilme+ildct"},
      {Codec::kMpeg2Video, 66, 50, "-c:v mpeg2video"},
  };
  for (const Case& one : cases) {
    const std::string size = std::to_string(one.width_px) + "x" + std::to_string(one.height_px);
    CAPTURE(size);
    const std::string path = scratch_path("advice.ts");
    make_video(path, "testsrc2=rate=25:duration=0.2:size=" + size, one.options);
    Bench bench(picture_buffer_bytes(PixelFormat::kYuv420p, one.width_px, one.height_px));
    REQUIRE(bench.feed(one.codec, pes_packets(read_file(path), kFirstPid), 4000).ok());
    REQUIRE(bench.decoder.drain().ok());
    CHECK(bench.recorder.pictures.size() == 5);
    CHECK(bench.decoder.stats().frames_too_large == 0);
  }
  CHECK(picture_buffer_bytes(PixelFormat::kNone, 352, 288) == 0);
}

}  // namespace
}  // namespace slipring::settop

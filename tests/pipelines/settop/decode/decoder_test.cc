#include "pipelines/settop/decode/decoder.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "pipelines/settop/decode/codec_log.h"
#include "tests/pipelines/settop/decode/heap_buffers.h"
#include "tests/pipelines/settop/decode/stream_fixture.h"

extern "C" {
#include <libavutil/md5.h>
}

namespace slipring::settop {
namespace {

std::uint32_t chroma_width(const FrameRecord& record) {
  return static_cast<PixelFormat>(record.format) == PixelFormat::kYuv444p
             ? record.width_px
             : (record.width_px + 1) / 2;
}

std::uint32_t chroma_height(const FrameRecord& record) {
  switch (static_cast<PixelFormat>(record.format)) {
    case PixelFormat::kYuv420p:
    case PixelFormat::kYuvj420p:
    case PixelFormat::kYuv420p10:
      return (record.height_px + 1) / 2;
    default:
      return record.height_px;
  }
}

// Notes what comes out, with its digest: of a picture the visible region, of sound the samples in
// ffmpeg's interleaved order.
class Recorder final : public FrameSink {
 public:
  explicit Recorder(HeapBuffers& pool) : pool_(pool) {}

  Status frame(const FrameRecord& record, std::uint64_t token) override {
    if (refuse) return Error{.code = ErrorCode::kInterrupted, .doing = "handing a frame on"};
    records.push_back(record);
    if (record.event != FrameEvent::kFrame) return {};
    CHECK(pool_.held.contains(token));
    if (record.kind == StreamKind::kVideo) {
      take_picture(record, pool_.data(token));
    } else {
      take_sound(record, pool_.data(token));
    }
    return {};
  }

  void problem(const Error& error) override { problems.push_back(error); }

  std::vector<FrameRecord> records;
  std::vector<FrameLine> pictures;
  std::vector<std::byte> sound;
  std::vector<Error> problems;
  bool refuse = false;

 private:
  void take_picture(const FrameRecord& record, const std::byte* base) {
    const auto format = static_cast<PixelFormat>(record.format);
    const std::size_t sample_bytes =
        format == PixelFormat::kYuv420p10 || format == PixelFormat::kYuv422p10 ? 2 : 1;
    alignas(16) std::byte context[256];
    auto* md5 = reinterpret_cast<AVMD5*>(context);
    REQUIRE(static_cast<std::size_t>(av_md5_size) <= sizeof context);
    av_md5_init(md5);
    FrameLine line{.pts = record.pts, .size_bytes = 0, .md5 = ""};
    REQUIRE(record.plane_count == 3);
    for (std::size_t plane = 0; plane < record.plane_count; ++plane) {
      const std::size_t row_bytes =
          (plane == 0 ? record.width_px : chroma_width(record)) * sample_bytes;
      const std::size_t rows = plane == 0 ? record.height_px : chroma_height(record);
      const auto stride = static_cast<std::size_t>(record.plane_stride_bytes[plane]);
      REQUIRE(record.plane_offset_bytes[plane] + stride * (rows - 1) + row_bytes <=
              pool_.size_bytes());
      for (std::size_t row = 0; row < rows; ++row) {
        const std::byte* start = base + record.plane_offset_bytes[plane] + stride * row;
        av_md5_update(md5, reinterpret_cast<const std::uint8_t*>(start), row_bytes);
        line.size_bytes += row_bytes;
      }
    }
    std::uint8_t digest[16];
    av_md5_final(md5, digest);
    line.md5 = md5_text(digest);
    pictures.push_back(line);
  }

  void take_sound(const FrameRecord& record, const std::byte* base) {
    const bool is_float = static_cast<SampleFormat>(record.format) == SampleFormat::kFloatPlanar;
    REQUIRE((is_float || static_cast<SampleFormat>(record.format) == SampleFormat::kS16Planar));
    const std::size_t sample_bytes = is_float ? sizeof(float) : sizeof(std::int16_t);
    REQUIRE(record.plane_count == record.channel_count);
    for (std::size_t sample = 0; sample < record.sample_count; ++sample) {
      for (std::size_t channel = 0; channel < record.channel_count; ++channel) {
        const std::byte* at = base + record.plane_offset_bytes[channel] + sample * sample_bytes;
        sound.insert(sound.end(), at, at + sample_bytes);
      }
    }
  }

  HeapBuffers& pool_;
};

constexpr std::size_t kAmpleBytes = 1 << 20;

// A decoder with all that it needs.
struct Bench {
  explicit Bench(std::size_t buffer_bytes = kAmpleBytes) : pool(buffer_bytes), recorder(pool) {
    set_codec_log(CodecLogLevel::kQuiet, nullptr, nullptr);
  }

  // Feeds PES packets in pieces of at most piece_bytes.
  Status feed(Codec codec, const std::vector<PesPacket>& packets, std::size_t piece_bytes) {
    for (const PesPacket& packet : packets) {
      for (std::size_t at = 0; at < packet.payload.size(); at += piece_bytes) {
        const std::size_t size_bytes = std::min(piece_bytes, packet.payload.size() - at);
        ElementaryRecord record{.event = ElementaryEvent::kData,
                                .codec = codec,
                                .flags = at == 0 ? kPesStart : 0,
                                .program_number = 1,
                                .pts = at == 0 ? packet.pts : kNoTimestamp,
                                .dts = at == 0 ? packet.dts : kNoTimestamp,
                                .origin_ns = static_cast<std::uint64_t>(packet.pts),
                                .change_ns = 7};
        const Status status =
            decoder.feed(record, std::span(packet.payload).subspan(at, size_bytes));
        if (!status) return status;
      }
    }
    return {};
  }

  HeapBuffers pool;
  Recorder recorder;
  Decoder decoder{pool, recorder};
};

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

void make_video(const std::string& path, const std::string& source, const std::string& options) {
  run_ffmpeg("-f lavfi -i " + source + " " + options + " -f mpegts " + path);
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

TEST_CASE("decoder: a frame larger than any buffer is dropped, counted and reported once") {
  const std::string path = scratch_path("large.ts");
  make_video(path, "testsrc2=size=352x288:rate=25:duration=1", "-c:v mpeg2video -bf 0");
  Bench bench(10'000);
  REQUIRE(bench.feed(Codec::kMpeg2Video, pes_packets(read_file(path), kFirstPid), 5000).ok());
  REQUIRE(bench.decoder.drain().ok());
  CHECK(bench.recorder.records.empty());
  CHECK(bench.decoder.stats().frames_too_large > 0);
  REQUIRE(bench.recorder.problems.size() == 1);
  CHECK(bench.recorder.problems[0].code == ErrorCode::kNoSpace);
  CHECK(bench.recorder.problems[0].found == 10'000);
  CHECK(bench.recorder.problems[0].wanted > 352 * 288 * 3 / 2);
}

TEST_CASE("decoder: an interrupted wait for a buffer ends the call, and a flush makes it whole") {
  const std::string path = scratch_path("interrupt.ts");
  make_video(path, "testsrc2=size=176x144:rate=25:duration=2", "-c:v libx264 -g 10 -bf 2");
  const std::vector<PesPacket> packets = pes_packets(read_file(path), kFirstPid);
  for (const std::size_t piece_bytes : {std::size_t{500}, kMaxElementaryBytes}) {
    Bench bench;
    REQUIRE(bench.feed(Codec::kH264, {packets.begin(), packets.begin() + 25}, piece_bytes).ok());
    bench.pool.interrupted = true;
    const Status status =
        bench.feed(Codec::kH264, {packets.begin() + 25, packets.begin() + 30}, piece_bytes);
    REQUIRE(!status.ok());
    CHECK(status.error().code == ErrorCode::kInterrupted);
    CHECK(bench.decoder.stats().waits_interrupted == 1);
    bench.pool.interrupted = false;
    bench.decoder.flush();
    CHECK(bench.pool.held.empty());
    bench.recorder.pictures.clear();
    REQUIRE(bench.feed(Codec::kH264, packets, piece_bytes).ok());
    REQUIRE(bench.decoder.drain().ok());
    CHECK(bench.recorder.pictures == ffmpeg_video_frames(path));
  }
}

TEST_CASE("decoder: a sink that gives up ends the call, and no buffer is lost") {
  const std::string path = scratch_path("refuse.ts");
  make_video(path, "testsrc2=size=176x144:rate=25:duration=1", "-c:v mpeg2video");
  Bench bench;
  bench.recorder.refuse = true;
  const Status status =
      bench.feed(Codec::kMpeg2Video, pes_packets(read_file(path), kFirstPid), kMaxElementaryBytes);
  REQUIRE(!status.ok());
  CHECK(status.error().code == ErrorCode::kInterrupted);
  bench.decoder.flush();
  CHECK(bench.pool.held.empty());
}

TEST_CASE("decoder: flush forgets the old programme, and the new one is whole") {
  const std::string old_path = scratch_path("old.ts");
  const std::string new_path = scratch_path("new.ts");
  make_video(old_path, "testsrc2=size=352x288:rate=25:duration=1", "-c:v libx264 -bf 3");
  make_video(new_path, "mandelbrot=size=160x120:rate=25", "-t 1 -c:v libx264 -bf 3");
  Bench bench;
  REQUIRE(bench.feed(Codec::kH264, pes_packets(read_file(old_path), kFirstPid), 999).ok());
  bench.recorder.pictures.clear();
  bench.decoder.flush();
  CHECK(bench.pool.held.empty());
  REQUIRE(bench.feed(Codec::kH264, pes_packets(read_file(new_path), kFirstPid), 999).ok());
  REQUIRE(bench.decoder.drain().ok());
  CHECK(bench.recorder.pictures == ffmpeg_video_frames(new_path));
}

TEST_CASE("decoder: a stream start drains what was there, tells the sink and opens another codec") {
  const std::string first = scratch_path("first.ts");
  const std::string second = scratch_path("second.ts");
  make_video(first, "testsrc2=size=176x144:rate=25:duration=1", "-c:v libx264 -bf 3");
  make_video(second, "testsrc2=size=176x144:rate=25:duration=1", "-c:v mpeg2video -bf 2");
  Bench bench;
  REQUIRE(bench.feed(Codec::kH264, pes_packets(read_file(first), kFirstPid), 999).ok());
  const ElementaryRecord start{.event = ElementaryEvent::kStreamStart,
                               .codec = Codec::kMpeg2Video,
                               .flags = 0,
                               .program_number = 9,
                               .pts = kNoTimestamp,
                               .dts = kNoTimestamp,
                               .origin_ns = 0,
                               .change_ns = 0};
  REQUIRE(bench.decoder.feed(start, {}).ok());
  REQUIRE(bench.recorder.records.size() == 26);
  CHECK(bench.recorder.records.back().event == FrameEvent::kStreamStart);
  CHECK(bench.recorder.records.back().program_number == 9);
  REQUIRE(bench.feed(Codec::kMpeg2Video, pes_packets(read_file(second), kFirstPid), 999).ok());
  REQUIRE(bench.decoder.drain().ok());
  std::vector<FrameLine> expected = ffmpeg_video_frames(first);
  const std::vector<FrameLine> rest = ffmpeg_video_frames(second);
  expected.insert(expected.end(), rest.begin(), rest.end());
  CHECK(bench.recorder.pictures == expected);
}

TEST_CASE("decoder: another codec without a stream start drains what was there too") {
  const std::string first = scratch_path("before.ts");
  const std::string second = scratch_path("behind.ts");
  make_video(first, "testsrc2=size=176x144:rate=25:duration=1", "-c:v mpeg2video -bf 2");
  make_video(second, "testsrc2=size=176x144:rate=25:duration=1", "-c:v libx264 -bf 3");
  Bench bench;
  REQUIRE(bench.feed(Codec::kMpeg2Video, pes_packets(read_file(first), kFirstPid), 999).ok());
  REQUIRE(bench.feed(Codec::kH264, pes_packets(read_file(second), kFirstPid), 999).ok());
  REQUIRE(bench.decoder.drain().ok());
  std::vector<FrameLine> expected = ffmpeg_video_frames(first);
  const std::vector<FrameLine> rest = ffmpeg_video_frames(second);
  expected.insert(expected.end(), rest.begin(), rest.end());
  CHECK(bench.recorder.pictures == expected);
}

TEST_CASE("decoder: an unknown codec is counted and reported once") {
  Bench bench;
  const std::vector<PesPacket> packets(3, PesPacket{.payload = std::vector<std::byte>(1000)});
  REQUIRE(bench.feed(Codec::kUnknown, packets, 100).ok());
  REQUIRE(bench.feed(static_cast<Codec>(0xdeadbeef), packets, 100).ok());
  CHECK(bench.decoder.stats().bytes_unknown == 6000);
  CHECK(bench.recorder.problems.size() == 1);
  CHECK(bench.recorder.problems.front().code == ErrorCode::kUnsupported);
}

TEST_CASE("decoder: a record that no demultiplexer writes is a corrupt peer") {
  Bench bench;
  ElementaryRecord record{};
  record.event = static_cast<ElementaryEvent>(77);
  CHECK(bench.decoder.feed(record, {}).error().code == ErrorCode::kCorruptPeer);
  record.event = ElementaryEvent::kData;
  record.codec = Codec::kH264;
  const std::vector<std::byte> oversized(kMaxElementaryBytes + 1);
  CHECK(bench.decoder.feed(record, oversized).error().code == ErrorCode::kCorruptPeer);
}

TEST_CASE("decoder: broken streams are counted, frames stay in bounds, and no buffer is lost") {
  struct Case {
    const char* name;
    Codec codec;
    const char* options;
  };
  const Case cases[] = {{"bad264", Codec::kH264, "-c:v libx264 -preset veryfast -g 25 -bf 3"},
                        {"bad2", Codec::kMpeg2Video, "-c:v mpeg2video -g 12 -bf 2"}};
  for (const Case& one : cases) {
    CAPTURE(std::string(one.name));
    const std::string path = scratch_path(std::string(one.name) + ".ts");
    make_video(path, "testsrc2=size=176x144:rate=25:duration=2", one.options);
    const std::vector<PesPacket> whole = pes_packets(read_file(path), kFirstPid);
    for (std::uint32_t seed = 1; seed <= 10; ++seed) {
      CAPTURE(seed);
      std::mt19937 random(seed);
      std::vector<PesPacket> broken = whole;
      for (PesPacket& packet : broken) {
        for (std::size_t hits = random() % 3; hits > 0; --hits) {
          packet.payload[random() % packet.payload.size()] ^= static_cast<std::byte>(random());
        }
        if (random() % 20 == 0) packet.payload.resize(packet.payload.size() / 2 + 1);
      }
      Bench bench;
      REQUIRE(bench.feed(one.codec, broken, 4000).ok());
      REQUIRE(bench.decoder.drain().ok());
      CHECK(bench.decoder.stats().decode_errors + bench.decoder.stats().frames_corrupt > 0);
      CHECK(!bench.recorder.pictures.empty());
      CHECK(bench.pool.held.empty());
      // The next whole programme is not harmed.
      bench.recorder.pictures.clear();
      REQUIRE(bench.feed(one.codec, whole, 4000).ok());
      REQUIRE(bench.decoder.drain().ok());
      CHECK(bench.recorder.pictures.size() == whole.size());
    }
  }
}

TEST_CASE("decoder: noise of every codec neither crashes nor grows without bound") {
  std::mt19937 random(4711);
  std::vector<PesPacket> noise(40);
  for (PesPacket& packet : noise) {
    packet.pts = 0;
    packet.payload.resize(kMaxElementaryBytes);
    for (std::byte& byte : packet.payload) byte = static_cast<std::byte>(random());
  }
  for (std::uint32_t codec = 1; codec <= 7; ++codec) {
    CAPTURE(codec);
    Bench bench;
    REQUIRE(bench.feed(static_cast<Codec>(codec), noise, kMaxElementaryBytes).ok());
    REQUIRE(bench.decoder.drain().ok());
    CHECK(bench.pool.held.empty());
  }
}

TEST_CASE("decoder: data without an access unit in sight are dropped and reported") {
  Bench bench;
  const std::vector<PesPacket> silence(
      ElementaryParser::kMaxUnitBytes / kMaxElementaryBytes + 3,
      PesPacket{.pts = 1, .dts = 1, .payload = std::vector<std::byte>(kMaxElementaryBytes)});
  REQUIRE(bench.feed(Codec::kH264, silence, kMaxElementaryBytes).ok());
  CHECK(bench.decoder.stats().bytes_shapeless > ElementaryParser::kMaxUnitBytes);
  CHECK(bench.recorder.problems.size() == 1);
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

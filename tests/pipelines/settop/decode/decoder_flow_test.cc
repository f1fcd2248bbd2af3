// What a decoder is told besides data, and what it does with pictures that find no place, sinks
// that give up, and streams that are broken.

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "pipelines/settop/decode/decoder.h"
#include "tests/pipelines/settop/decode/decoder_bench.h"
#include "tests/pipelines/settop/decode/heap_buffers.h"
#include "tests/pipelines/settop/decode/stream_fixture.h"

namespace slipring::settop {
namespace {

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

}  // namespace
}  // namespace slipring::settop

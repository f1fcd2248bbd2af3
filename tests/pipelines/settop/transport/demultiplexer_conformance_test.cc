// The ffmpeg program multiplexes streams of many kinds, and its own demultiplexer is the oracle:
// for every stream, the bytes and every PES packet's size and time stamps must be the same.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "pipelines/settop/transport/demultiplexer.h"
#include "tests/pipelines/settop/transport/recording_sink.h"

namespace slipring::settop {
namespace {

using testing::Demuxed;
using testing::RecordedPes;

constexpr std::int64_t kStampMask = (std::int64_t{1} << 33) - 1;

// One PES packet as ffprobe shows it, stamps modulo 2^33.
struct OraclePes {
  std::optional<std::int64_t> pts;
  std::optional<std::int64_t> dts;
  std::size_t size = 0;

  friend bool operator==(const OraclePes&, const OraclePes&) = default;
};

std::string temporary(const std::string& name) {
  const char* folder = std::getenv("TEST_TMPDIR");
  REQUIRE(folder != nullptr);
  return std::string(folder) + "/" + name;
}

void run(const std::string& command) {
  CAPTURE(command);
  REQUIRE(std::system((command + " </dev/null").c_str()) == 0);
}

std::vector<std::byte> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::optional<std::int64_t> parse_stamp(const std::string& text) {
  if (text == "N/A") return std::nullopt;
  return std::stoll(text) & kStampMask;
}

// `stream` is a stream specifier of ffmpeg: "p:2:v".
std::vector<OraclePes> oracle_packets(const std::string& path, const std::string& stream) {
  const std::string list = temporary("packets.csv");
  run("ffprobe -v error -fflags +noparse+nofillin -select_streams " + stream +
      " -show_entries packet=pts,dts,size -of csv=p=0 " + path + " > " + list);
  std::ifstream file(list);
  std::vector<OraclePes> packets;
  for (std::string line; std::getline(file, line);) {
    if (line.empty()) continue;
    std::istringstream fields(line);
    std::string pts, dts, size;
    std::getline(fields, pts, ',');
    std::getline(fields, dts, ',');
    std::getline(fields, size, ',');
    packets.push_back({parse_stamp(pts), parse_stamp(dts), std::stoul(size)});
  }
  return packets;
}

std::vector<std::byte> oracle_bytes(const std::string& path, const std::string& stream) {
  const std::string out = temporary("oracle.es");
  run("ffmpeg -v error -y -copyts -i " + path + " -map 0:" + stream +
      " -c copy -copyinkf -f data " + out);
  return read_file(out);
}

std::vector<OraclePes> our_packets(const std::vector<RecordedPes>& list) {
  std::vector<OraclePes> packets;
  for (const RecordedPes& pes : list) {
    CHECK(pes.end == PesEnd::kWhole);
    OraclePes packet{.pts = {}, .dts = {}, .size = pes.payload.size()};
    if (pes.start.pts != kNoTimestamp) packet.pts = pes.start.pts & kStampMask;
    if (pes.start.dts != kNoTimestamp) packet.dts = pes.start.dts & kStampMask;
    packets.push_back(packet);
  }
  return packets;
}

// Decoding times grow by less than a second each, also across a wrap.
void check_line(const std::vector<RecordedPes>& list) {
  for (std::size_t i = 1; i < list.size(); ++i) {
    const std::int64_t step = list[i].start.dts - list[i - 1].start.dts;
    CHECK(step > 0);
    CHECK(step < 90'000);
  }
}

struct Expectation {
  std::uint16_t program_number = 1;
  Codec video = Codec::kH264;
  Codec audio = Codec::kAacAdts;
  std::size_t least_video_count = 70;
};

void check_clean(const Demuxed& demuxed) {
  const DemuxCounters& c = demuxed.counters();
  CHECK(demuxed.sink.broken_promises == 0);
  CHECK(c.packets == sum_of_fates(c));
  CHECK(c.continuity_errors_tables + c.continuity_errors_video + c.continuity_errors_audio == 0);
  CHECK(c.section_errors + c.section_crc_errors + c.pes_header_errors + c.pes_surplus_bytes == 0);
  CHECK(c.malformed_packets + c.adaptation_errors + c.timestamp_errors + c.clock_errors == 0);
  CHECK(c.skipped_bytes <= 4);  // a recorder's time code before the first packet
  CHECK(c.truncated_bytes + c.sync_losses == 0);
  CHECK(c.clock_references > 10);
}

// Compares in chunks of a datagram, of an odd size, and of everything at once.  Returns the last.
std::unique_ptr<Demuxed> compare_with_oracle(const std::string& path, const Expectation& expected) {
  const std::vector<std::byte> bytes = read_file(path);
  const std::string program = "p:" + std::to_string(expected.program_number);
  const auto video_packets = oracle_packets(path, program + ":v");
  const auto audio_packets = oracle_packets(path, program + ":a");
  const auto video_bytes = oracle_bytes(path, program + ":v");
  const auto audio_bytes = oracle_bytes(path, program + ":a");
  REQUIRE(video_packets.size() >= expected.least_video_count);
  REQUIRE(audio_packets.size() > 5);
  std::unique_ptr<Demuxed> last;
  for (const std::size_t chunk : {std::size_t{1316}, std::size_t{977}, bytes.size()}) {
    last = std::make_unique<Demuxed>(DemuxOptions{.program_number = expected.program_number});
    Demuxed& demuxed = *last;
    for (std::size_t offset = 0; offset < bytes.size(); offset += chunk) {
      demuxed.push(std::span(bytes).subspan(offset, std::min(chunk, bytes.size() - offset)));
    }
    demuxed.demux->flush(demuxed.sink);
    check_clean(demuxed);
    REQUIRE(demuxed.sink.selections.size() >= 1);
    // ffmpeg may repeat a map with other details under the same version number.
    for (std::size_t i = 1; i < demuxed.sink.selections.size(); ++i) {
      CHECK_FALSE(demuxed.sink.selections[i].video_changed);
      CHECK_FALSE(demuxed.sink.selections[i].audio_changed);
    }
    CHECK(demuxed.sink.selections[0].video.codec == expected.video);
    CHECK(demuxed.sink.selections[0].audio.codec == expected.audio);
    CHECK(our_packets(demuxed.sink.video) == video_packets);
    CHECK(our_packets(demuxed.sink.audio) == audio_packets);
    CHECK(testing::RecordingSink::joined(demuxed.sink.video) == video_bytes);
    CHECK(testing::RecordingSink::joined(demuxed.sink.audio) == audio_bytes);
    check_line(demuxed.sink.video);
    check_line(demuxed.sink.audio);
  }
  return last;
}

const std::string kSource =
    "-f lavfi -i testsrc2=size=320x180:rate=25:duration=3 "
    "-f lavfi -i sine=frequency=440:sample_rate=48000:duration=3 ";
const std::string kH264Aac =
    "-c:v libx264 -preset veryfast -threads 1 -g 25 -bf 3 -c:a aac -b:a 96k ";
const std::string kMpeg2Mp2 = "-c:v mpeg2video -threads 1 -g 12 -bf 2 -b:v 2M -c:a mp2 -b:a 128k ";

// Returns the path of a stream that ffmpeg made with these options.
std::string multiplex(const std::string& options, const std::string& source = kSource) {
  const std::string path = temporary("stream.ts");
  run("ffmpeg -v error -y " + source + options + " -f mpegts " + path);
  return path;
}

TEST_CASE("conformance: H.264 with B-frames and AAC") {
  compare_with_oracle(multiplex(kH264Aac), {});
}

TEST_CASE("conformance: MPEG-2 with B-frames and MP2") {
  compare_with_oracle(multiplex(kMpeg2Mp2),
                      {.video = Codec::kMpeg2Video, .audio = Codec::kMpegAudio});
}

TEST_CASE("conformance: HEVC and AC-3, announced as ATSC does and as DVB does") {
  const std::string codecs =
      "-c:v libx265 -preset ultrafast -x265-params log-level=error:pools=1 -c:a ac3 ";
  const Expectation expected{.video = Codec::kHevc, .audio = Codec::kAc3};
  compare_with_oracle(multiplex(codecs), expected);
  compare_with_oracle(multiplex(codecs + "-mpegts_flags system_b"), expected);
}

TEST_CASE("conformance: AAC in LATM, tables at every picture, announced discontinuity") {
  compare_with_oracle(
      multiplex(kH264Aac + "-mpegts_flags latm+pat_pmt_at_frames+initial_discontinuity"),
      {.audio = Codec::kAacLatm});
}

TEST_CASE("conformance: bounded video PES packets, one audio frame a PES packet") {
  compare_with_oracle(multiplex(kH264Aac + "-omit_video_pes_length 0 -pes_payload_size 0"), {});
}

TEST_CASE("conformance: constant rate with null packets") {
  const auto demuxed =
      compare_with_oracle(multiplex(kMpeg2Mp2 + "-muxrate 4M -pcr_period 20"),
                          {.video = Codec::kMpeg2Video, .audio = Codec::kMpegAudio});
  CHECK(demuxed->counters().null_packets > 100);
}

TEST_CASE("conformance: packets of 192 bytes") {
  const auto demuxed = compare_with_oracle(
      multiplex("-c:v libx264 -preset veryfast -threads 1 -bf 3 -c:a ac3 -mpegts_m2ts_mode 1"),
      {.audio = Codec::kAc3});
  CHECK(demuxed->counters().trailer_bytes > 0);
}

TEST_CASE("conformance: either of two programmes in one stream") {
  const std::string source = kSource +
                             "-f lavfi -i testsrc=size=176x144:rate=30:duration=3 "
                             "-f lavfi -i sine=frequency=880:sample_rate=44100:duration=3 ";
  const std::string path = multiplex(
      "-map 0:v -map 1:a -map 2:v -map 3:a "
      "-c:v:0 libx264 -preset veryfast -threads 1 -bf 2 -c:a:0 aac "
      "-c:v:1 mpeg2video -bf:v:1 2 -c:a:1 mp2 "
      "-program program_num=7:st=0:st=1 -program program_num=300:st=2:st=3",
      source);
  compare_with_oracle(path, {.program_number = 7});
  compare_with_oracle(path, {.program_number = 300,
                             .video = Codec::kMpeg2Video,
                             .audio = Codec::kMpegAudio,
                             .least_video_count = 85});
}

TEST_CASE("conformance: time stamps that wrap in the middle, with B-frames across the wrap") {
  // 2^33 ticks of 90 kHz are 95443.7 s; the multiplexer adds 1.4 s of its own.
  for (const char* offset : {"95440.9", "95441.3"}) {
    const auto demuxed =
        compare_with_oracle(multiplex(kH264Aac + "-output_ts_offset " + offset), {});
    CHECK(demuxed->sink.video.front().start.dts <= kStampMask);
    CHECK(demuxed->sink.video.back().start.dts > kStampMask);
    CHECK(demuxed->sink.audio.front().start.dts <= kStampMask);
    CHECK(demuxed->sink.audio.back().start.dts > kStampMask);
  }
}

TEST_CASE("conformance: entry points are marked where the encoder put them") {
  const auto demuxed =
      compare_with_oracle(multiplex(kH264Aac + "-sc_threshold 0 -x264-params scenecut=0"), {});
  REQUIRE(demuxed->sink.video.size() == 75);
  for (std::size_t i = 0; i < 75; ++i) {
    CHECK(demuxed->sink.video[i].start.random_access == (i % 25 == 0));
  }
}

}  // namespace
}  // namespace slipring::settop

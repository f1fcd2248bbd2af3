// Payload, stamps and clocks of a whole stream.

#include "pipelines/settop/transport/demultiplexer.h"

#include <doctest/doctest.h>

#include <initializer_list>

#include "tests/pipelines/settop/transport/one_program.h"
#include "tests/pipelines/settop/transport/recording_sink.h"
#include "tests/pipelines/settop/transport/sample_stream.h"

namespace slipring::settop {
namespace {

using testing::add_padding;
using testing::Bytes;
using testing::check_sums;
using testing::Demuxed;
using testing::joined;
using testing::kSampleFirst;
using testing::kSampleFirstMap;
using testing::kSampleSecond;
using testing::kSampleSecondMap;
using testing::kVideo;
using testing::make_pes;
using testing::one_program;
using testing::pattern;
using testing::sample_audio;
using testing::sample_payload;
using testing::sample_stream;
using testing::sample_video;
using testing::StreamBuilder;
using testing::three_pictures;

TEST_CASE("demux: a clean multiplex yields every payload, stamp and clock of the programme") {
  for (const std::uint16_t number : {std::uint16_t{0}, kSampleFirst, kSampleSecond}) {
    const std::uint16_t map = number == kSampleSecond ? kSampleSecondMap : kSampleFirstMap;
    Demuxed demuxed({.program_number = number});
    demuxed.push_all(sample_stream());
    check_sums(demuxed);
    REQUIRE(demuxed.sink.selections.size() == 1);
    CHECK(demuxed.sink.selections[0].video_changed);
    CHECK(demuxed.sink.selections[0].video.codec ==
          (map == kSampleFirstMap ? Codec::kH264 : Codec::kMpeg2Video));
    CHECK(demuxed.sink.selections[0].audio.codec ==
          (map == kSampleFirstMap ? Codec::kAacAdts : Codec::kMpegAudio));
    REQUIRE(demuxed.sink.video.size() == 20);
    REQUIRE(demuxed.sink.audio.size() == 20);
    for (std::size_t i = 0; i < 20; ++i) {
      const auto dts = static_cast<std::int64_t>(900'000 + 3600 * i);
      const auto& video = demuxed.sink.video[i];
      CHECK(video.payload == sample_payload(sample_video(map), i));
      CHECK(video.end == PesEnd::kWhole);
      CHECK(video.start.dts == dts);
      CHECK(video.start.pts == dts + (i % 3 == 0 ? 10'800 : 3600));
      CHECK(video.start.random_access == (i % 10 == 0));
      CHECK_FALSE(video.start.discontinuity);
      const auto& audio = demuxed.sink.audio[i];
      CHECK(audio.payload == sample_payload(sample_audio(map), i));
      CHECK(audio.start.pts == dts);
      CHECK(audio.start.dts == dts);
      CHECK(demuxed.sink.clocks[i].clock_27mhz ==
            (dts - 20'000) * 300 + static_cast<std::int64_t>(i));
    }
    const DemuxCounters& c = demuxed.counters();
    CHECK(c.null_packets == 20);
    CHECK(c.clock_packets == (map == kSampleFirstMap ? 20 : 0));
    CHECK(c.clock_references == 20);
    CHECK(c.continuity_errors_video + c.continuity_errors_audio + c.continuity_errors_tables == 0);
    CHECK(c.pat_changes == 1);
    CHECK(c.pmt_changes == 2);
    CHECK(c.unknown_pid_packets == 0);
    CHECK(c.unselected_packets > 40);
    CHECK(c.programs_seen == 2);
    CHECK(c.random_access_points == 2);
  }
}

TEST_CASE("demux: the PES header may be split at any byte") {
  const Bytes payload = pattern(500, 5);
  for (std::size_t most = 1; most <= 30; ++most) {
    StreamBuilder builder = one_program();
    builder.add_pes({.pid = kVideo},
                    make_pes({.pts = 1000, .dts = 500, .stuffing_count = 6}, payload), most);
    Demuxed demuxed;
    demuxed.push_all(builder.bytes());
    check_sums(demuxed);
    REQUIRE(demuxed.sink.video.size() == 1);
    CHECK(demuxed.sink.video[0].payload == payload);
    CHECK(demuxed.sink.video[0].start.pts == 1000);
    CHECK(demuxed.sink.video[0].start.dts == 500);
  }
}

TEST_CASE("demux: payload of every size from 0 to 184 bytes a packet is joined") {
  StreamBuilder builder = one_program();
  Bytes expected;
  const Bytes start = make_pes({.pts = 1}, {});
  builder.add_pes({.pid = kVideo}, start);
  for (std::size_t size = 0; size <= 184; ++size) {
    const Bytes piece = pattern(size, static_cast<std::uint32_t>(size));
    std::span<const std::byte> view = piece;
    if (size > 0) builder.add({.pid = kVideo}, view);
    if (size == 0) builder.add_without_payload({.pid = kVideo});
    testing::append(expected, piece);
  }
  Demuxed demuxed;
  demuxed.push_all(builder.bytes());
  check_sums(demuxed);
  REQUIRE(demuxed.sink.video.size() == 1);
  CHECK(demuxed.sink.video[0].payload == expected);
  CHECK(demuxed.sink.video[0].end == PesEnd::kWhole);
}

TEST_CASE("demux: a bounded PES packet ends at its length, and what follows is surplus") {
  StreamBuilder builder = one_program();
  const Bytes payload = pattern(300, 1);
  Bytes longer = make_pes({.pts = 1, .bounded = true}, payload);
  testing::append(longer, pattern(20, 9));
  builder.add_pes({.pid = kVideo}, longer);
  add_padding(builder);
  Demuxed demuxed;
  demuxed.push(builder.bytes());
  REQUIRE(demuxed.sink.video.size() == 1);
  CHECK(demuxed.sink.video[0].ended);  // before the next start, before the flush
  CHECK(demuxed.sink.video[0].payload == payload);
  CHECK(demuxed.sink.video[0].end == PesEnd::kWhole);
  CHECK(demuxed.counters().pes_surplus_bytes == 20);
  builder = one_program();
  builder.count(kVideo) = 2;
  builder.add_pes({.pid = kVideo}, make_pes({.pts = 2, .bounded = true}, payload));
  demuxed.push_all(builder.bytes());
  REQUIRE(demuxed.sink.video.size() == 2);
  CHECK(demuxed.sink.video[1].start.discontinuity);
}

TEST_CASE("demux: a PES packet shorter than its length is broken") {
  for (const bool by_next : {true, false}) {
    StreamBuilder builder = one_program();
    Bytes cut = make_pes({.pts = 1, .bounded = true}, pattern(600, 1));
    cut.resize(cut.size() - 1);
    builder.add_pes({.pid = kVideo}, cut);
    if (by_next) builder.add_pes({.pid = kVideo}, make_pes({.pts = 2}, pattern(10, 2)));
    Demuxed demuxed;
    demuxed.push_all(builder.bytes());
    check_sums(demuxed);
    CHECK(demuxed.sink.video[0].payload.size() == 599);
    CHECK(demuxed.sink.video[0].end == PesEnd::kBroken);
    CHECK(demuxed.counters().pes_short == 1);
    if (by_next) CHECK(demuxed.sink.video[1].end == PesEnd::kWhole);
  }
}

TEST_CASE("demux: an unbounded PES packet is handed on whole at the end of the stream") {
  StreamBuilder builder = one_program();
  builder.add_pes({.pid = kVideo}, make_pes({.pts = 1}, pattern(600, 1)));
  add_padding(builder);
  Demuxed demuxed;
  demuxed.push(builder.bytes());
  REQUIRE(demuxed.sink.video.size() == 1);
  CHECK_FALSE(demuxed.sink.video[0].ended);
  demuxed.demux->flush(demuxed.sink);
  CHECK(demuxed.sink.video[0].end == PesEnd::kWhole);
  CHECK(demuxed.sink.video[0].payload == pattern(600, 1));
  CHECK(demuxed.counters().pes_video == 1);
}

TEST_CASE("demux: padding and PES packets that are none are not handed on") {
  StreamBuilder builder = one_program();
  builder.add_pes({.pid = kVideo}, make_pes({.stream_id = 0xbe}, pattern(100, 1)));
  builder.add_pes({.pid = kVideo}, pattern(300, 2));
  builder.add_pes({.pid = kVideo}, make_pes({.pts = 3}, pattern(100, 3)));
  Demuxed demuxed;
  demuxed.push_all(builder.bytes());
  check_sums(demuxed);
  REQUIRE(demuxed.sink.video.size() == 1);
  CHECK(demuxed.sink.video[0].payload == pattern(100, 3));
  CHECK(demuxed.sink.video[0].start.discontinuity);
  CHECK(demuxed.counters().pes_foreign == 1);
  CHECK(demuxed.counters().pes_header_errors == 1);
}

TEST_CASE("demux: stamps, clocks and both streams run on together across the wrap") {
  const std::uint64_t wrap = std::uint64_t{1} << 33;
  Demuxed demuxed;
  demuxed.push_all(sample_stream({.picture_count = 60, .first_dts = wrap - 30 * 3600}));
  check_sums(demuxed);
  REQUIRE(demuxed.sink.video.size() == 60);
  REQUIRE(demuxed.sink.audio.size() == 60);
  for (std::size_t i = 0; i < 60; ++i) {
    const auto dts = static_cast<std::int64_t>(wrap - 30 * 3600 + i * 3600);
    CHECK(demuxed.sink.video[i].start.dts == dts);
    CHECK(demuxed.sink.video[i].start.pts == dts + (i % 3 == 0 ? 10'800 : 3600));
    CHECK(demuxed.sink.audio[i].start.pts == dts);
    CHECK(demuxed.sink.clocks[i].clock_27mhz / 300 == dts - 20'000);
  }
}

TEST_CASE("demux: another programme starts a line of its own") {
  const std::uint64_t wrap = std::uint64_t{1} << 33;
  Demuxed demuxed({.program_number = kSampleFirst});
  demuxed.push(sample_stream({.picture_count = 60, .first_dts = wrap - 30 * 3600}));
  REQUIRE(demuxed.sink.video.back().start.dts > static_cast<std::int64_t>(wrap));
  demuxed.demux->select_program(kSampleSecond, demuxed.sink);
  demuxed.push(sample_stream({.first_dts = 30 * 3600}));
  CHECK(demuxed.sink.video.back().start.dts == (30 + 19) * 3600);
  CHECK(demuxed.sink.audio.back().start.dts == (30 + 19) * 3600);
}

TEST_CASE("demux: a PES packet without stamps has none") {
  StreamBuilder builder = one_program();
  builder.add_pes({.pid = kVideo}, make_pes({}, pattern(10, 1)));
  Demuxed demuxed;
  demuxed.push_all(builder.bytes());
  REQUIRE(demuxed.sink.video.size() == 1);
  CHECK(demuxed.sink.video[0].start.pts == kNoTimestamp);
  CHECK(demuxed.sink.video[0].start.dts == kNoTimestamp);
}

TEST_CASE("demux: a PES packet carries the origin of the bytes in which it began") {
  auto packets = three_pictures();
  Demuxed demuxed;
  demuxed.demux->push(joined(packets), demuxed.sink, 5);
  StreamBuilder builder = one_program();
  builder.count(kVideo) = 15;
  builder.add_pes({.pid = kVideo}, make_pes({.pts = 1}, pattern(500, 1)), 8);
  demuxed.demux->push(std::span(builder.bytes()).first(3 * kPacketBytes), demuxed.sink, 10);
  demuxed.demux->push(std::span(builder.bytes()).subspan(3 * kPacketBytes), demuxed.sink, 20);
  REQUIRE(demuxed.sink.video.size() == 4);
  CHECK(demuxed.sink.video[2].start.origin_ns == 5);
  CHECK(demuxed.sink.video[3].start.origin_ns == 10);  // though its header ended later
}

}  // namespace
}  // namespace slipring::settop

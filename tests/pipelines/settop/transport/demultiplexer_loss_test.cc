// Lost, repeated, exchanged and damaged packets.

#include <doctest/doctest.h>

#include <initializer_list>
#include <vector>

#include "pipelines/settop/transport/demultiplexer.h"
#include "tests/pipelines/settop/transport/one_program.h"
#include "tests/pipelines/settop/transport/recording_sink.h"
#include "tests/pipelines/settop/transport/sample_stream.h"

namespace slipring::settop {
namespace {

using testing::Bytes;
using testing::check_sums;
using testing::Demuxed;
using testing::joined;
using testing::kPictureAt;
using testing::kPicturePackets;
using testing::kVideo;
using testing::make_pes;
using testing::one_program;
using testing::pattern;
using testing::StreamBuilder;
using testing::three_pictures;

TEST_CASE("demux: a lost packet breaks the PES packet that it belongs to, and no other") {
  for (std::size_t lost = kPicturePackets + 1; lost < 2 * kPicturePackets; ++lost) {
    auto packets = three_pictures();
    packets.erase(packets.begin() + static_cast<std::ptrdiff_t>(kPictureAt + lost));
    Demuxed demuxed;
    demuxed.push_all(joined(packets));
    check_sums(demuxed);
    REQUIRE(demuxed.sink.video.size() == 3);
    CHECK(demuxed.sink.video[0].end == PesEnd::kWhole);
    CHECK(demuxed.sink.video[1].end == PesEnd::kBroken);
    CHECK(demuxed.sink.video[2].end == PesEnd::kWhole);
    CHECK(demuxed.sink.video[2].start.discontinuity);
    CHECK(demuxed.counters().continuity_errors_video == 1);
    CHECK(demuxed.counters().pes_broken == 1);
  }
}

TEST_CASE("demux: a lost start joins the rest to the PES packet before, which is broken") {
  auto packets = three_pictures();
  packets.erase(packets.begin() + kPictureAt + kPicturePackets);
  Demuxed demuxed;
  demuxed.push_all(joined(packets));
  check_sums(demuxed);
  REQUIRE(demuxed.sink.video.size() == 2);
  CHECK(demuxed.sink.video[0].end == PesEnd::kBroken);
  CHECK(demuxed.sink.video[1].payload == pattern(900, 2));
  CHECK(demuxed.sink.video[1].end == PesEnd::kWhole);
}

TEST_CASE("demux: a gap inside a PES header drops that PES packet") {
  StreamBuilder builder = one_program();
  const std::size_t before = builder.packet_count();
  builder.add_pes({.pid = kVideo}, make_pes({.pts = 1, .dts = 1}, pattern(90, 1)), 8);
  builder.add_pes({.pid = kVideo}, make_pes({.pts = 2}, pattern(90, 2)));
  Bytes bytes = builder.take();
  const auto lost = bytes.begin() + static_cast<std::ptrdiff_t>((before + 1) * kPacketBytes);
  bytes.erase(lost, lost + kPacketBytes);
  Demuxed demuxed;
  demuxed.push_all(bytes);
  check_sums(demuxed);
  REQUIRE(demuxed.sink.video.size() == 1);
  CHECK(demuxed.sink.video[0].payload == pattern(90, 2));
  CHECK(demuxed.sink.video[0].start.discontinuity);
  CHECK(demuxed.counters().pes_header_errors == 1);
}

TEST_CASE("demux: a repeated packet is dropped once") {
  const auto clean = three_pictures();
  for (std::size_t copied = 0; copied < kPictureAt + 3 * kPicturePackets; ++copied) {
    auto packets = clean;
    packets.insert(packets.begin() + static_cast<std::ptrdiff_t>(copied), clean[copied]);
    Demuxed demuxed;
    demuxed.push_all(joined(packets));
    check_sums(demuxed);
    REQUIRE(demuxed.sink.video.size() == 3);
    for (std::uint32_t i = 0; i < 3; ++i) {
      CHECK(demuxed.sink.video[i].payload == pattern(900, i));
      CHECK(demuxed.sink.video[i].end == PesEnd::kWhole);
    }
    CHECK(demuxed.counters().duplicate_packets == 1);
    CHECK(demuxed.counters().continuity_errors_video == 0);
    // A third copy adds nothing either, and is an error.
    packets.insert(packets.begin() + static_cast<std::ptrdiff_t>(copied), clean[copied]);
    Demuxed thrice;
    thrice.push_all(joined(packets));
    check_sums(thrice);
    CHECK(thrice.counters().duplicate_packets == 2);
    CHECK(thrice.counters().continuity_errors_video + thrice.counters().continuity_errors_tables ==
          1);
    if (copied >= kPictureAt)
      CHECK(testing::RecordingSink::joined(thrice.sink.video).size() == 2700);
  }
}

TEST_CASE("demux: exchanged packets are continuity errors and break the PES packet") {
  auto packets = three_pictures();
  std::swap(packets[kPictureAt + 6], packets[kPictureAt + 7]);
  Demuxed demuxed;
  demuxed.push_all(joined(packets));
  check_sums(demuxed);
  CHECK(demuxed.sink.video[1].end == PesEnd::kBroken);
  CHECK(demuxed.sink.video[2].end == PesEnd::kWhole);
  CHECK(demuxed.counters().continuity_errors_video == 3);
}

TEST_CASE("demux: a packet marked wrong, scrambled or malformed counts as lost") {
  for (const int fault : {0, 1, 2}) {
    auto packets = three_pictures();
    Bytes& packet = packets[kPictureAt + 7];
    if (fault == 0) packet[1] |= std::byte{0x80};
    if (fault == 1) packet[3] |= std::byte{0xc0};
    if (fault == 2) packet[3] &= std::byte{0xcf};
    Demuxed demuxed;
    demuxed.push_all(joined(packets));
    check_sums(demuxed);
    CHECK(demuxed.counters().transport_error_packets == (fault == 0 ? 1 : 0));
    CHECK(demuxed.counters().scrambled_packets == (fault == 1 ? 1 : 0));
    CHECK(demuxed.counters().malformed_packets == (fault == 2 ? 1 : 0));
    REQUIRE(demuxed.sink.video.size() == 3);
    CHECK(demuxed.sink.video[0].end == PesEnd::kWhole);
    CHECK(demuxed.sink.video[1].end == PesEnd::kBroken);
    CHECK(demuxed.sink.video[1].payload.size() == 900 - 184);
    CHECK(demuxed.sink.video[2].end == PesEnd::kWhole);
  }
}

TEST_CASE("demux: packets without payload do not advance the count, null packets have none") {
  StreamBuilder builder = one_program();
  const Bytes payload = pattern(900, 1);
  const Bytes pes = make_pes({.pts = 1}, payload);
  std::span<const std::byte> rest = pes;
  builder.add({.pid = kVideo, .unit_start = true}, rest);
  std::uint8_t stray = 3;
  while (!rest.empty()) {
    builder.add_without_payload({.pid = kVideo, .clock_27mhz = 1000});
    builder.add_null(stray = static_cast<std::uint8_t>((stray * 7 + 1) & 0xf));
    builder.add({.pid = kVideo}, rest);
  }
  Demuxed demuxed;
  demuxed.push_all(builder.bytes());
  check_sums(demuxed);
  CHECK(demuxed.sink.video[0].payload == payload);
  CHECK(demuxed.sink.video[0].end == PesEnd::kWhole);
  CHECK(demuxed.counters().continuity_errors_video == 0);
  CHECK(demuxed.sink.clocks.size() == 4);
}

TEST_CASE("demux: an announced discontinuity permits a jump of the count") {
  StreamBuilder builder = one_program();
  builder.add_pes({.pid = kVideo}, make_pes({.pts = 1}, pattern(600, 1)));
  builder.count(kVideo) += 7;
  builder.add_pes({.pid = kVideo, .discontinuity = true}, make_pes({.pts = 2}, pattern(600, 2)));
  builder.count(kVideo) += 5;
  builder.add_without_payload({.pid = kVideo, .discontinuity = true, .clock_27mhz = 77});
  builder.add_pes({.pid = kVideo}, make_pes({.pts = 3}, pattern(600, 3)));
  Demuxed demuxed;
  demuxed.push_all(builder.bytes());
  check_sums(demuxed);
  REQUIRE(demuxed.sink.video.size() == 3);
  CHECK(demuxed.counters().continuity_errors_video == 0);
  CHECK(demuxed.counters().announced_discontinuities == 2);
  for (const auto& pes : demuxed.sink.video) CHECK(pes.end == PesEnd::kWhole);
  CHECK_FALSE(demuxed.sink.video[0].start.discontinuity);
  CHECK(demuxed.sink.video[1].start.discontinuity);
  CHECK(demuxed.sink.video[2].start.discontinuity);
  REQUIRE(demuxed.sink.clocks.size() == 1);
  CHECK(demuxed.sink.clocks[0].discontinuity);
}

}  // namespace
}  // namespace slipring::settop

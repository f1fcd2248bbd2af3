// A transport stream with one programme, and what holds of the counters after each.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "pipelines/settop/transport/demultiplexer.h"
#include "tests/pipelines/settop/transport/recording_sink.h"
#include "tests/pipelines/settop/transport/sample_stream.h"

namespace slipring::settop::testing {

inline constexpr std::uint16_t kMap = 0x20;
inline constexpr std::uint16_t kVideo = 0x30;
inline constexpr std::uint16_t kAudio = 0x31;

// A builder with the tables of one programme: H.264 with its clock, and AAC.
inline StreamBuilder one_program() {
  StreamBuilder builder;
  builder.add_sections(kPatPid, {make_pat({{1, kMap}})});
  builder.add_sections(kMap, {make_pmt(1, kVideo, {{0x1b, kVideo}, {0x0f, kAudio}})});
  return builder;
}

// Enough null packets to fill the framer's look-ahead.
inline void add_padding(StreamBuilder& builder) {
  for (std::uint8_t i = 0; i < 6; ++i) builder.add_null(i);
}

inline void check_sums(const Demuxed& demuxed) {
  const DemuxCounters& c = demuxed.counters();
  CHECK(c.packets == sum_of_fates(c));
  CHECK(demuxed.sink.broken_promises == 0);
}

// A stream of three video PES packets of several packets each, as packets.
inline std::vector<Bytes> three_pictures() {
  StreamBuilder builder = one_program();
  for (std::uint32_t i = 0; i < 3; ++i) {
    builder.add_pes({.pid = kVideo}, make_pes({.pts = i * 3600}, pattern(900, i)));
  }
  add_padding(builder);
  std::vector<Bytes> packets;
  for (std::size_t offset = 0; offset < builder.bytes().size(); offset += kPacketBytes) {
    const auto packet = std::span(builder.bytes()).subspan(offset, kPacketBytes);
    packets.emplace_back(packet.begin(), packet.end());
  }
  return packets;
}

inline Bytes joined(const std::vector<Bytes>& packets) {
  Bytes all;
  for (const Bytes& packet : packets) append(all, packet);
  return all;
}

// In three_pictures(): PAT, PMT, then five packets a picture.
inline constexpr std::size_t kPictureAt = 2;
inline constexpr std::size_t kPicturePackets = 5;

}  // namespace slipring::settop::testing

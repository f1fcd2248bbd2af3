// Programmes that come, go and change; tables that are damaged.

#include <doctest/doctest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "pipelines/settop/transport/demultiplexer.h"
#include "tests/pipelines/settop/transport/one_program.h"
#include "tests/pipelines/settop/transport/recording_sink.h"
#include "tests/pipelines/settop/transport/sample_stream.h"

namespace slipring::settop {
namespace {

using testing::add_padding;
using testing::add_sample_pictures;
using testing::Bytes;
using testing::check_sums;
using testing::Demuxed;
using testing::kAudio;
using testing::kMap;
using testing::kSampleFirst;
using testing::kSampleFirstMap;
using testing::kSampleSecond;
using testing::kSampleSecondMap;
using testing::kVideo;
using testing::make_pat;
using testing::make_pes;
using testing::make_pmt;
using testing::one_program;
using testing::pattern;
using testing::sample_payload;
using testing::sample_stream;
using testing::sample_video;
using testing::StreamBuilder;

TEST_CASE("demux: a change of programme acts at once and abandons what is open") {
  StreamBuilder builder;
  add_sample_pictures(builder, {.picture_count = 7, .table_interval = 100});
  const Bytes first = builder.take();
  add_sample_pictures(builder, {.picture_count = 7, .first_dts = 950'000, .table_interval = 100});
  const Bytes with_tables = builder.take();
  const Bytes rest(with_tables.begin() + 3 * kPacketBytes,
                   with_tables.end());  // no tables any more
  Demuxed demuxed({.program_number = kSampleFirst});
  demuxed.push(first);
  REQUIRE(demuxed.sink.open(StreamKind::kVideo));
  demuxed.demux->select_program(kSampleSecond, demuxed.sink);
  CHECK(demuxed.demux->selection_state() == SelectionState::kSelected);
  REQUIRE(demuxed.sink.selections.size() == 2);
  CHECK(demuxed.sink.selections[1].program_number == kSampleSecond);
  CHECK(demuxed.sink.video.back().end == PesEnd::kAbandoned);
  CHECK(demuxed.counters().pes_abandoned == 1);
  const std::size_t video_before = demuxed.sink.video.size();
  demuxed.push_all(rest);
  REQUIRE(demuxed.sink.video.size() == video_before + 7);
  CHECK(demuxed.sink.video[video_before].payload ==
        sample_payload(sample_video(kSampleSecondMap), 0));
  CHECK(demuxed.sink.video[video_before].start.codec == Codec::kMpeg2Video);
  CHECK(demuxed.sink.broken_promises == 0);
}

TEST_CASE("demux: a programme that is absent is waited for, and reported") {
  StreamBuilder builder;
  builder.add_sections(kPatPid, {make_pat({{1, kMap}}, {.version = 0})});
  add_padding(builder);
  Demuxed demuxed({.program_number = 5});
  CHECK(demuxed.demux->selection_state() == SelectionState::kNoPat);
  demuxed.push(builder.take());
  CHECK(demuxed.demux->selection_state() == SelectionState::kProgramAbsent);
  CHECK(std::string(name_of(demuxed.demux->selection_state())) == "programme absent");
  builder.add_sections(kPatPid, {make_pat({{1, kMap}, {5, 0x50}}, {.version = 1})});
  demuxed.push(builder.take());
  CHECK(demuxed.demux->selection_state() == SelectionState::kNoMap);
  builder.add_sections(0x50, {make_pmt(5, kVideo, {{0x1b, kVideo}})});
  builder.add_pes({.pid = kVideo}, make_pes({.pts = 1}, pattern(100, 1)));
  demuxed.push_all(builder.take());
  CHECK(demuxed.demux->selection_state() == SelectionState::kSelected);
  CHECK(demuxed.sink.video.size() == 1);
  check_sums(demuxed);
}

TEST_CASE("demux: a programme that leaves the PAT is left, and taken up when it returns") {
  StreamBuilder builder = one_program();
  builder.add_pes({.pid = kVideo}, make_pes({.pts = 1}, pattern(100, 1)));
  builder.add_sections(kPatPid, {make_pat({{2, 0x60}}, {.version = 1})});
  builder.add_pes({.pid = kVideo}, make_pes({.pts = 2}, pattern(100, 2)));
  Demuxed demuxed({.program_number = 1});
  demuxed.push(builder.take());
  CHECK(demuxed.demux->selection_state() == SelectionState::kProgramAbsent);
  REQUIRE(demuxed.sink.video.size() == 1);
  CHECK(demuxed.sink.video[0].end == PesEnd::kAbandoned);
  CHECK(demuxed.counters().selections_lost == 1);
  builder.add_sections(kPatPid, {make_pat({{1, kMap}}, {.version = 2})});
  builder.add_sections(kMap, {make_pmt(1, kVideo, {{0x1b, kVideo}})});
  builder.add_pes({.pid = kVideo}, make_pes({.pts = 3}, pattern(100, 3)));
  demuxed.push_all(builder.take());
  REQUIRE(demuxed.sink.video.size() == 2);
  CHECK(demuxed.sink.video[1].payload == pattern(100, 3));
  check_sums(demuxed);
}

TEST_CASE("demux: the first programme stays selected while the PAT lists it") {
  StreamBuilder builder = one_program();
  builder.add_sections(kPatPid, {make_pat({{9, 0x60}, {1, kMap}}, {.version = 1})});
  builder.add_sections(0x60, {make_pmt(9, 0x70, {{0x1b, 0x70}})});
  add_padding(builder);
  Demuxed demuxed;
  demuxed.push(builder.take());
  REQUIRE(demuxed.sink.selections.size() == 1);
  CHECK(demuxed.demux->selection().program_number == 1);
  builder.add_sections(kPatPid, {make_pat({{9, 0x60}}, {.version = 2})});
  demuxed.push(builder.take());
  CHECK(demuxed.demux->selection().program_number == 9);
  CHECK(demuxed.counters().selections_lost == 1);
}

TEST_CASE("demux: a new PMT that keeps the streams does not disturb them") {
  StreamBuilder builder = one_program();
  const Bytes pes = make_pes({.pts = 1}, pattern(600, 1));
  std::span<const std::byte> rest = pes;
  builder.add({.pid = kVideo, .unit_start = true}, rest);
  builder.add_sections(
      kMap, {make_pmt(1, kVideo, {{0x1b, kVideo}, {0x0f, 0x99}, {0x06, 0x98}}, {.version = 1})});
  while (!rest.empty()) builder.add({.pid = kVideo}, rest);
  Demuxed demuxed;
  demuxed.push_all(builder.bytes());
  check_sums(demuxed);
  REQUIRE(demuxed.sink.selections.size() == 2);
  CHECK_FALSE(demuxed.sink.selections[1].video_changed);
  CHECK(demuxed.sink.selections[1].audio_changed);
  CHECK(demuxed.sink.selections[1].audio.pid == 0x99);
  REQUIRE(demuxed.sink.video.size() == 1);
  CHECK(demuxed.sink.video[0].payload == pattern(600, 1));
  CHECK(demuxed.sink.video[0].end == PesEnd::kWhole);
  CHECK(demuxed.counters().unsupported_streams == 1);
  CHECK(demuxed.counters().pmt_changes == 2);
}

TEST_CASE("demux: a table whose CRC is wrong changes nothing") {
  StreamBuilder builder = one_program();
  Bytes wrong = make_pmt(1, 0x99, {{0x02, 0x99}}, {.version = 1});
  wrong[14] ^= std::byte{1};
  builder.add_sections(kMap, {wrong});
  Bytes wrong_pat = make_pat({{7, 0x99}}, {.version = 3});
  wrong_pat[9] ^= std::byte{1};
  builder.add_sections(kPatPid, {wrong_pat});
  builder.add_pes({.pid = kVideo}, make_pes({.pts = 1}, pattern(100, 1)));
  Demuxed demuxed;
  demuxed.push_all(builder.bytes());
  check_sums(demuxed);
  CHECK(demuxed.counters().section_crc_errors == 2);
  CHECK(demuxed.sink.selections.size() == 1);
  CHECK(demuxed.sink.video.size() == 1);
}

TEST_CASE("demux: a PAT of several sections is one table, and so is its successor") {
  StreamBuilder builder;
  const auto add_pat = [&](std::uint8_t version, std::uint16_t first_number) {
    for (std::uint8_t number = 0; number < 3; ++number) {
      std::vector<testing::PatEntry> entries;
      for (std::uint16_t i = 0; i < 30; ++i) {
        const auto program = static_cast<std::uint16_t>(first_number + number * 30 + i);
        entries.push_back({program, static_cast<std::uint16_t>(0x400 + program)});
      }
      builder.add_sections(kPatPid, {make_pat(entries, {version, number, 2})});
      if (number == 0) add_padding(builder);
    }
  };
  Demuxed demuxed({.program_number = 60});
  add_pat(0, 1);
  demuxed.push(builder.take());
  CHECK(demuxed.counters().programs_seen == 90);
  CHECK(demuxed.demux->selection_state() == SelectionState::kNoMap);
  // The new table lists programme 60 in its second section; until that comes it is not missed.
  builder.add_sections(0x400 + 60, {make_pmt(60, kVideo, {{0x1b, kVideo}})});
  add_pat(1, 30);
  demuxed.push(builder.take());
  CHECK(demuxed.counters().programs_removed == 29);
  CHECK(demuxed.counters().selections_lost == 0);
  CHECK(demuxed.demux->selection_state() == SelectionState::kSelected);
  CHECK(demuxed.demux->programs().find(29) == nullptr);
  CHECK(demuxed.demux->programs().find(119) != nullptr);
  check_sums(demuxed);
}

TEST_CASE("demux: more programmes than the table holds are counted, and the rest works") {
  StreamBuilder builder;
  std::vector<testing::PatEntry> entries;
  for (std::uint16_t i = 1; i <= 200; ++i) {
    entries.push_back({i, static_cast<std::uint16_t>(0x400 + i)});
  }
  builder.add_sections(kPatPid, {make_pat(entries)});
  builder.add_sections(0x401, {make_pmt(1, kVideo, {{0x1b, kVideo}})});
  builder.add_pes({.pid = kVideo}, make_pes({.pts = 1}, pattern(100, 1)));
  Demuxed demuxed;
  demuxed.push_all(builder.bytes());
  CHECK(demuxed.counters().programs_seen == kMaxPrograms);
  CHECK(demuxed.counters().programs_refused == 200 - kMaxPrograms);
  CHECK(demuxed.sink.video.size() == 1);
}

TEST_CASE("demux: programmes may share the PID of their maps") {
  StreamBuilder builder;
  builder.add_sections(kPatPid, {make_pat({{1, kMap}, {2, kMap}})});
  builder.add_sections(
      kMap, {make_pmt(1, kVideo, {{0x1b, kVideo}}), make_pmt(2, kAudio, {{0x02, kAudio}})});
  builder.add_pes({.pid = kAudio}, make_pes({.pts = 1}, pattern(100, 1)));
  Demuxed demuxed({.program_number = 2});
  demuxed.push_all(builder.bytes());
  REQUIRE(demuxed.sink.video.size() == 1);
  CHECK(demuxed.sink.video[0].start.codec == Codec::kMpeg2Video);
  CHECK(demuxed.counters().pmt_changes == 2);
}

TEST_CASE("demux: the codec is told by the stream type, or by a private stream's descriptors") {
  struct Case {
    std::uint8_t stream_type;
    std::vector<int> descriptors;
    Codec codec;
  };
  const std::vector<Case> cases = {
      {0x01, {}, Codec::kMpeg2Video},
      {0x02, {}, Codec::kMpeg2Video},
      {0x03, {}, Codec::kMpegAudio},
      {0x04, {}, Codec::kMpegAudio},
      {0x0f, {}, Codec::kAacAdts},
      {0x11, {}, Codec::kAacLatm},
      {0x1b, {}, Codec::kH264},
      {0x24, {}, Codec::kHevc},
      {0x81, {}, Codec::kAc3},
      {0x06, {0x0a, 4, 'e', 'n', 'g', 0, 0x6a, 1, 0}, Codec::kAc3},
      {0x06, {0x05, 4, 'A', 'C', '-', '3'}, Codec::kAc3},
      {0x06, {0x05, 4, 'H', 'E', 'V', 'C'}, Codec::kHevc},
      {0x06, {0x05, 3, 'A', 'C', '-'}, Codec::kUnknown},
      {0x06, {0x0a, 200, 0x6a, 0}, Codec::kUnknown},
      {0x06, {0x56, 0}, Codec::kUnknown},
      {0x06, {}, Codec::kUnknown},
      {0x15, {}, Codec::kUnknown},
  };
  for (const Case& one : cases) {
    Bytes descriptors;
    for (const int value : one.descriptors) descriptors.push_back(static_cast<std::byte>(value));
    StreamBuilder builder;
    builder.add_sections(kPatPid, {make_pat({{1, kMap}})});
    builder.add_sections(kMap, {make_pmt(1, kVideo, {{one.stream_type, kVideo, descriptors}})});
    Demuxed demuxed;
    demuxed.push_all(builder.bytes());
    REQUIRE(demuxed.sink.selections.size() == 1);
    const ProgramSelection& selection = demuxed.sink.selections[0];
    CAPTURE(static_cast<int>(one.stream_type));
    CHECK(selection.video.codec == (is_video(one.codec) ? one.codec : Codec::kUnknown));
    CHECK(selection.audio.codec == (is_audio(one.codec) ? one.codec : Codec::kUnknown));
    CHECK(demuxed.counters().unsupported_streams == (one.codec == Codec::kUnknown ? 1 : 0));
  }
}

TEST_CASE("demux: a preferred PID is taken where the programme has it") {
  for (const int pid : {0x40, 0x41, 0x42, 0x43, 0x99}) {
    const auto preferred = static_cast<std::uint16_t>(pid);
    StreamBuilder builder;
    builder.add_sections(kPatPid, {make_pat({{1, kMap}})});
    builder.add_sections(
        kMap, {make_pmt(1, 0x40, {{0x1b, 0x40}, {0x0f, 0x41}, {0x03, 0x42}, {0x05, 0x43}})});
    Demuxed demuxed({.audio_pid = preferred});
    demuxed.push_all(builder.bytes());
    REQUIRE(demuxed.sink.selections.size() == 1);
    CHECK(demuxed.sink.selections[0].video.pid == 0x40);
    CHECK(demuxed.sink.selections[0].audio.pid == (preferred == 0x42 ? 0x42 : 0x41));
  }
}

TEST_CASE("demux: a map whose lengths do not add up is refused") {
  StreamBuilder builder = one_program();
  Bytes section = make_pmt(1, kVideo, {{0x1b, kVideo}}, {.version = 1});
  section.resize(section.size() - 4);
  section[section.size() - 1] = std::byte{9};  // descriptors beyond the end
  builder.add_sections(kMap, {testing::with_crc(section)});
  Demuxed demuxed;
  demuxed.push_all(builder.bytes());
  CHECK(demuxed.counters().section_errors == 1);
  CHECK(demuxed.sink.selections.size() == 1);
}

TEST_CASE("demux: without any table nothing comes out and everything is counted") {
  StreamBuilder builder;
  for (std::uint32_t i = 0; i < 20; ++i) {
    builder.add_pes({.pid = kVideo}, make_pes({.pts = i}, pattern(100, i)));
  }
  Demuxed demuxed;
  demuxed.push_all(builder.bytes());
  CHECK(demuxed.sink.video.empty());
  CHECK(demuxed.counters().unknown_pid_packets == 20);
  CHECK(demuxed.demux->selection_state() == SelectionState::kNoPat);
  check_sums(demuxed);
}

TEST_CASE("demux: a stream may be entered in the middle") {
  const Bytes bytes = sample_stream();
  for (std::size_t offset = 0; offset < 40 * kPacketBytes; offset += 611) {
    Demuxed demuxed;
    demuxed.push_all(std::span(bytes).subspan(offset));
    check_sums(demuxed);
    REQUIRE(demuxed.sink.video.size() >= 10);
    for (const auto& pes : demuxed.sink.video) {
      CHECK(pes.payload ==
            sample_payload(sample_video(kSampleFirstMap),
                           static_cast<std::size_t>(pes.start.dts - 900'000) / 3600));
      CHECK(pes.end == PesEnd::kWhole);
    }
  }
}

TEST_CASE("demux: after a restart nothing of the old transport stream is known") {
  Demuxed demuxed;
  demuxed.push(sample_stream({.picture_count = 5}));
  REQUIRE(demuxed.sink.selections.size() == 1);
  demuxed.demux->restart(demuxed.sink);
  CHECK(demuxed.demux->selection_state() == SelectionState::kNoPat);
  CHECK(demuxed.sink.video.back().ended);
  StreamBuilder builder = one_program();
  builder.add_pes({.pid = kVideo}, make_pes({.pts = 8}, pattern(100, 4)));
  demuxed.push_all(builder.bytes());
  REQUIRE(demuxed.sink.selections.size() == 2);
  CHECK(demuxed.sink.selections[1].program_number == 1);
  CHECK(demuxed.sink.video.back().payload == pattern(100, 4));
  CHECK(demuxed.sink.video.back().start.dts == 8);
  CHECK(demuxed.counters().continuity_errors_tables == 0);
  check_sums(demuxed);
}

TEST_CASE("demux: a stream spliced to another with the same version numbers is noticed") {
  StreamBuilder builder = one_program();
  builder.add_pes({.pid = kVideo}, make_pes({.pts = 1}, pattern(100, 1)));
  builder.add_sections(kPatPid, {make_pat({{3, 0x60}})});
  builder.add_sections(0x60, {make_pmt(3, 0x70, {{0x02, 0x70}})});
  builder.add_pes({.pid = 0x70}, make_pes({.pts = 2}, pattern(100, 2)));
  Demuxed demuxed;
  demuxed.push_all(builder.bytes());
  REQUIRE(demuxed.sink.selections.size() == 2);
  CHECK(demuxed.sink.selections[1].program_number == 3);
  REQUIRE(demuxed.sink.video.size() == 2);
  CHECK(demuxed.sink.video[1].payload == pattern(100, 2));
}

TEST_CASE("demux_counters: every counter has a name of its own") {
  DemuxCounters counters;
  counters.packets = 7;
  counters.clock_errors = 9;
  std::vector<std::string> names;
  std::uint64_t sum = 0;
  counters.for_each([&](const char* name, std::uint64_t value) {
    for (const auto& other : names) CHECK(other != name);
    names.emplace_back(name);
    sum += value;
    if (names.back() == "packets") CHECK(value == 7);
    if (names.back() == "clock_errors") CHECK(value == 9);
  });
  CHECK(names.size() == sizeof(DemuxCounters) / sizeof(std::uint64_t));
  CHECK(sum == 16);
}

}  // namespace
}  // namespace slipring::settop

// What comes out of the air: packets, sections, PES headers; and the records that stages send on.
#include <algorithm>
#include <cstring>
#include <new>

#include "core/error/check.h"
#include "pipelines/settop/render/frame_view.h"
#include "pipelines/settop/transport/crc32.h"
#include "pipelines/settop/transport/demultiplexer.h"
#include "pipelines/settop/transport/packet_framer.h"
#include "pipelines/settop/transport/pes_assembler.h"
#include "pipelines/settop/transport/program_map.h"
#include "pipelines/settop/transport/psi_section.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/mutator.h"
#include "tests/fuzz/targets.h"
#include "tests/pipelines/settop/transport/sample_stream.h"
#include "tests/pipelines/settop/transport/watching_sink.h"

namespace slipring::fuzz {
namespace {

using settop::DemuxCounters;
using settop::testing::Bytes;
using settop::testing::WatchingSink;

[[nodiscard]] bool lies_in(std::span<const std::byte> part, std::span<const std::byte> whole) {
  const std::less_equal<> not_after;
  return not_after(whole.data(), part.data()) &&
         not_after(part.data() + part.size(), whole.data() + whole.size());
}

// Gives `visit` the bytes in pieces of 1 to `most` bytes, cut as the seed says.
template <typename Visit>
void in_pieces(std::span<const std::byte> bytes, std::uint32_t seed, std::size_t most,
               Visit visit) {
  while (!bytes.empty()) {
    seed = seed * 1664525U + 1013904223U;
    const std::size_t count = std::min<std::size_t>(bytes.size(), 1 + (seed >> 8) % most);
    visit(bytes.first(count));
    bytes = bytes.subspan(count);
  }
}

// Up to three packets behind tables and pictures that are sound, in a demultiplexer made anew.
class DemultiplexerParser {
 public:
  static Corpus corpus() {
    Corpus corpus{{}, {}, 3 * settop::kPacketBytes + 1};
    const Bytes stream = settop::testing::sample_stream({.picture_count = 3});
    for (std::size_t at = 0; at + 3 * settop::kPacketBytes <= stream.size();
         at += settop::kPacketBytes) {
      corpus.seeds.push_back("\1" +
                             text_of(std::span(stream).subspan(at, 3 * settop::kPacketBytes)));
    }
    return corpus;
  }
  DemultiplexerParser() { make_anew(); }
  ~DemultiplexerParser() { demux().~Demultiplexer(); }

  void run(std::span<const std::uint8_t> input, Tally& tally) {
    FuzzInput mode(input);
    const std::uint8_t cut = mode.byte();
    demux().~Demultiplexer();
    make_anew();
    const std::span<const std::byte> bytes = std::as_bytes(mode.rest());
    WatchingSink sink;
    sink.object = std::as_bytes(std::span(&demux(), 1));
    for (const std::span<const std::byte> chunk : {std::span<const std::byte>(tables_), bytes}) {
      in_pieces(chunk, cut, 700, [&](std::span<const std::byte> piece) {
        sink.chunk = piece;
        demux().push(piece, sink, 1);
      });
    }
    demux().flush(sink);
    const DemuxCounters& c = demux().counters();
    tally.expect(c.packets == sum_of_fates(c), "a packet without a fate");
    tally.expect(
        c.packets * settop::kPacketBytes + c.trailer_bytes + c.skipped_bytes + c.truncated_bytes ==
            c.bytes,
        "a byte without a fate");
    tally.expect(!sink.video_open && !sink.audio_open, "a PES packet without an end");
    tally.count(demux().selection_state() == settop::SelectionState::kSelected ? Answer::kDone
                                                                               : Answer::kRefused);
  }

 private:
  [[nodiscard]] static Bytes sound_tables() {
    settop::testing::StreamBuilder builder;
    settop::testing::add_sample_tables(builder);
    return builder.bytes();
  }
  [[nodiscard]] settop::Demultiplexer& demux() {
    return *std::launder(reinterpret_cast<settop::Demultiplexer*>(place_));
  }
  void make_anew() { new (place_) settop::Demultiplexer(); }

  Bytes tables_ = sound_tables();
  alignas(settop::Demultiplexer) std::byte place_[sizeof(settop::Demultiplexer)];
};

// A section in pieces, with a right length and CRC where the first byte asks for them; if it is
// sound, read as a map.
class SectionParser {
 public:
  static Corpus corpus() {
    Corpus corpus{{}, {"\xff", std::string("\0\0", 2), "\x02\xb0", std::string("\0\xb0", 2)}, 300};
    using settop::testing::make_pat;
    using settop::testing::make_pmt;
    for (const Bytes& section : {make_pat({{0, 0x10}, {1, 0x100}, {2, 0x200}}),
                                 make_pmt(1, 0x1f0, {{0x1b, 0x101}, {0x0f, 0x102}, {0x06, 0x103}}),
                                 make_pmt(2, 0x1fff, {})}) {
      corpus.seeds.push_back("\3" + text_of(section));
      corpus.seeds.push_back(std::string("\0", 1) + text_of(section));
    }
    return corpus;
  }
  void run(std::span<const std::uint8_t> input, Tally& tally) {
    FuzzInput mode(input);
    const std::uint8_t way = mode.byte();
    const std::size_t size = std::min(mode.rest().size(), sizeof buffer_ - 1);
    buffer_[0] = std::byte{0};  // the pointer field
    if (size != 0) std::memcpy(buffer_ + 1, mode.rest().data(), size);
    std::span<std::byte> section(buffer_ + 1, size);
    if ((way & 1) != 0 && size >= 12) repair(section);
    DemuxCounters counters;
    assembler_.reset();
    bool is_start = true;
    in_pieces({buffer_, size + 1}, way, 184, [&](std::span<const std::byte> piece) {
      assembler_.push(piece, is_start, counters,
                      [&](std::span<const std::byte> whole) { take(whole, counters, tally); });
      is_start = false;
    });
  }

 private:
  static void repair(std::span<std::byte> section) {
    const std::size_t length = section.size() - 3;
    section[1] = (section[1] & std::byte{0xf0}) | static_cast<std::byte>(length >> 8);
    section[2] = static_cast<std::byte>(length);
    const std::uint32_t crc = settop::crc32_mpeg(section.first(section.size() - 4));
    for (std::size_t i = 0; i < 4; ++i) {
      section[section.size() - 4 + i] = static_cast<std::byte>(crc >> (24 - 8 * i) & 0xff);
    }
  }
  void take(std::span<const std::byte> whole, DemuxCounters& counters, Tally& tally) {
    tally.expect(whole.size() <= settop::kMaxSectionBytes, "a section longer than any");
    for (const std::uint8_t table : {settop::kPatTableId, settop::kPmtTableId}) {
      settop::SectionView view;
      const settop::SectionParse answer = settop::parse_section(whole, table, view);
      if (answer != settop::SectionParse::kOk) {
        tally.count(Answer::kRefused);
        continue;
      }
      tally.count(Answer::kDone);
      tally.expect(lies_in(view.body, whole), "a body outside its section");
      settop::ProgramMap map;
      const bool is_map = settop::parse_program_map(view, map, counters);
      tally.expect(map.stream_count <= settop::kMaxStreamsPerProgram, "more streams than fit");
      tally.count(is_map ? Answer::kDone : Answer::kCorruptPeer);
    }
  }

  settop::SectionAssembler assembler_;
  std::byte buffer_[512];
};

// PES headers and payload in packets' pieces, in an assembler made anew.
class PesParser {
 public:
  static Corpus corpus() {
    Corpus corpus{{}, {std::string("\0\0\1", 3), "\xe0", "\xc0", "\x80\xc0\x0a"}, 300};
    using settop::testing::make_pes;
    const Bytes payload = settop::testing::pattern(80, 1);
    corpus.seeds.push_back("\1" + text_of(make_pes({.pts = 900'000, .dts = 896'400}, payload)));
    corpus.seeds.push_back("\2" + text_of(make_pes({.pts = 1}, payload)));
    corpus.seeds.push_back("\3" + text_of(make_pes({}, payload)));
    return corpus;
  }
  void run(std::span<const std::uint8_t> input, Tally& tally) {
    FuzzInput mode(input);
    const std::uint8_t way = mode.byte();
    const std::span<const std::byte> bytes = std::as_bytes(mode.rest());
    settop::TimestampLine timestamps;
    DemuxCounters counters;
    WatchingSink sink;
    settop::PesAssembler assembler(settop::StreamKind::kVideo);
    assembler.start({settop::Codec::kH264, 0x101});
    sink.chunk = bytes;
    sink.object = std::as_bytes(std::span(&assembler, 1));
    const settop::PesContext context{timestamps, counters, sink};
    bool is_start = true;
    in_pieces(bytes, way, 184, [&](std::span<const std::byte> piece) {
      settop::PacketView packet;
      packet.pid = 0x101;
      packet.has_payload = true;
      packet.unit_start = is_start;
      packet.payload = piece;
      packet.random_access = (way & 4) != 0;
      const bool is_gap = !is_start && way >= 224;
      assembler.push(packet, is_gap ? settop::Continuity::kGap : settop::Continuity::kInOrder, 1,
                     context);
      is_start = way % 16 == 15;
    });
    const bool was_open = sink.video_open;
    if (way % 2 == 0) {
      assembler.flush(context);
    } else {
      assembler.abandon(context);
    }
    tally.expect(!sink.video_open, "a PES packet without an end");
    tally.count(was_open || sink.sum != 0 ? Answer::kDone : Answer::kRefused);
  }
};

// Any bytes framed in pieces.
class FramerParser {
 public:
  static Corpus corpus() {
    Corpus corpus{{}, {"\x47", "\x47\x40"}, 1200};
    for (const std::size_t stride : std::initializer_list<std::size_t>{188, 192, 204}) {
      std::string text("\1");
      for (int i = 0; i < 5; ++i)
        text += "G" + std::string(stride - 1, static_cast<char>(0x10 + i));
      corpus.seeds.push_back(text);
    }
    return corpus;
  }
  void run(std::span<const std::uint8_t> input, Tally& tally) {
    FuzzInput mode(input);
    const std::uint8_t way = mode.byte();
    settop::PacketFramer framer;
    DemuxCounters counters;
    std::uint64_t packets = 0;
    const auto visit = [&](const settop::FramedPacket& packet) {
      ++packets;
      settop::PacketView view;
      const settop::PacketParse answer = settop::parse_packet(packet.bytes, view);
      tally.expect(answer != settop::PacketParse::kBadSync, "a packet without its sync byte");
      tally.expect(view.payload.empty() || lies_in(view.payload, packet.bytes),
                   "a payload outside its packet");
      tally.count(answer == settop::PacketParse::kOk ? Answer::kDone : Answer::kCorruptPeer);
    };
    in_pieces(std::as_bytes(mode.rest()), way, 400,
              [&](std::span<const std::byte> piece) { framer.push(piece, 1, counters, visit); });
    framer.flush(counters, visit);
    tally.expect(counters.bytes == mode.rest().size(), "bytes that were not counted");
    if (packets == 0) tally.count(Answer::kRefused);
  }
};

// A frame's record from a hostile decoder, with a few of its words changed.
class FrameRecordTarget final : public FuzzTarget {
 public:
  void run(std::span<const std::uint8_t> bytes, Tally& tally) override {
    FuzzInput input(bytes);
    const std::uint8_t mode = input.byte();
    settop::FrameRecord record{};
    record.width_px = 64;
    record.height_px = 32;
    record.plane_count = mode % 2 == 0 ? 3 : 2;
    record.format = mode / 2 % 8;
    record.sample_rate_hz = 48'000;
    record.channel_count = 2;
    record.sample_count = 256;
    for (std::uint32_t i = 0; i < 3; ++i) {
      record.plane_offset_bytes[i] = i * 2048;
      record.plane_stride_bytes[i] = i == 0 || mode % 2 != 0 ? 1024 : 32;
    }
    if (mode % 2 == 0) record.plane_stride_bytes[0] = 64;
    for (std::uint32_t changes = mode / 16 % 4; changes != 0; --changes) change(record, input);
    const std::span<const std::byte> buffer(buffer_);
    const auto picture = settop::view_picture(record, buffer);
    tally.count(picture.ok() ? Answer::kDone : Answer::kCorruptPeer);
    if (picture.ok()) {
      for (std::size_t i = 0; i < picture.value().plane_count; ++i) {
        const settop::PlaneView& plane = picture.value().planes[i];
        const std::size_t size =
            plane.row_count == 0 ? 0 : (plane.row_count - 1) * plane.stride_bytes + plane.row_bytes;
        tally.expect(lies_in({plane.data, size}, buffer), "a plane outside its buffer");
      }
    }
    const auto sound = settop::view_sound(record, buffer);
    tally.count(sound.ok() ? Answer::kDone : Answer::kCorruptPeer);
    if (!sound.ok()) return;
    for (std::size_t i = 0; i < sound.value().plane_count; ++i) {
      tally.expect(lies_in({sound.value().planes[i], sound.value().sample_count}, buffer),
                   "a plane outside its buffer");
    }
  }
  std::size_t make_input(Random& random, std::span<std::uint8_t> place) override {
    random.fill(place.first(24));
    return 24;
  }

 private:
  static void change(settop::FrameRecord& record, FuzzInput& input) {
    auto* words = reinterpret_cast<std::uint32_t*>(&record);
    std::uint32_t& word = words[12 + input.byte() % (sizeof record / 4 - 12)];
    word = static_cast<std::uint32_t>(hostile_value(input, {word, word, 32}));
  }
  std::array<std::byte, 8192> buffer_{};
};

constexpr std::array<TargetInfo, 5> kTargets{{
    {"demultiplexer", TargetKind::kParser,
     "3 sound packets of tables and at most 3 changed ones, in pieces, in a demultiplexer made "
     "anew",
     make_target<ParserTarget<DemultiplexerParser>>},
    {"psi_section", TargetKind::kParser,
     "one section of at most 300 bytes, in pieces, its length and CRC mended or not; read as a map",
     make_target<ParserTarget<SectionParser>>},
    {"pes_packet", TargetKind::kParser, "at most 300 bytes of PES packets, in pieces",
     make_target<ParserTarget<PesParser>>},
    {"packet_framer", TargetKind::kParser, "at most 1200 bytes, in pieces, framed and parsed",
     make_target<ParserTarget<FramerParser>>},
    {"frame_record", TargetKind::kParser,
     "a frame's record with at most 3 words changed, read as a picture and as sound",
     make_target<FrameRecordTarget>},
}};

}  // namespace

std::span<const TargetInfo> transport_targets() {
  return kTargets;
}

}  // namespace slipring::fuzz

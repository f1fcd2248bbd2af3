#include "pipelines/settop/transport/program_map.h"

#include "pipelines/settop/transport/big_endian.h"

namespace slipring::settop {
namespace {

constexpr std::uint8_t kPrivateData = 0x06;  // the descriptors tell what it is

constexpr std::uint32_t four_letters(const char (&text)[5]) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(text[i]);
  return value;
}

// ISO/IEC 13818-1 table 2-34; 0x81 is ATSC's.
Codec codec_of_type(std::uint8_t stream_type) {
  switch (stream_type) {
    case 0x01:
    case 0x02:
      return Codec::kMpeg2Video;
    case 0x03:
    case 0x04:
      return Codec::kMpegAudio;
    case 0x0f:
      return Codec::kAacAdts;
    case 0x11:
      return Codec::kAacLatm;
    case 0x1b:
      return Codec::kH264;
    case 0x24:
      return Codec::kHevc;
    case 0x81:
      return Codec::kAc3;
    default:
      return Codec::kUnknown;
  }
}

// What one descriptor of a private stream gives away.
Codec codec_of_descriptor(std::uint8_t tag, std::span<const std::byte> body) {
  constexpr std::uint8_t kRegistration = 0x05;
  constexpr std::uint8_t kDvbAc3 = 0x6a;
  if (tag == kDvbAc3) return Codec::kAc3;
  if (tag != kRegistration || body.size() < 4) return Codec::kUnknown;
  const std::uint32_t format = load_u32(body, 0);
  if (format == four_letters("AC-3")) return Codec::kAc3;
  if (format == four_letters("HEVC")) return Codec::kHevc;
  return Codec::kUnknown;
}

// A descriptor that leaves the loop ends it: the stream stays known by what came before.
Codec codec_of_private(std::span<const std::byte> descriptors) {
  while (descriptors.size() >= 2) {
    const std::size_t count = load_u8(descriptors, 1);
    if (2 + count > descriptors.size()) break;
    const Codec codec = codec_of_descriptor(load_u8(descriptors, 0), descriptors.subspan(2, count));
    if (codec != Codec::kUnknown) return codec;
    descriptors = descriptors.subspan(2 + count);
  }
  return Codec::kUnknown;
}

void add_stream(const StreamInfo& stream, ProgramMap& map, DemuxCounters& counters) {
  // PIDs that tables and stuffing own cannot carry a stream, and a PID carries one stream.
  bool refused = stream.pid < kFirstFreePid || stream.pid == kNullPid ||
                 map.stream_count == kMaxStreamsPerProgram;
  for (const StreamInfo& other : map.all_streams()) refused |= other.pid == stream.pid;
  if (refused) {
    ++counters.streams_refused;
    return;
  }
  if (stream.codec == Codec::kUnknown) ++counters.unsupported_streams;
  map.streams[map.stream_count++] = stream;
}

}  // namespace

bool parse_program_map(const SectionView& section, ProgramMap& map, DemuxCounters& counters) {
  map = ProgramMap{};
  map.program_number = section.id;
  map.version = section.version;
  auto body = section.body;
  if (body.size() < 4) return false;
  map.clock_pid = load_u16(body, 0) & 0x1fff;
  const std::size_t program_info_count = load_u16(body, 2) & 0x0fff;
  if (4 + program_info_count > body.size()) return false;
  body = body.subspan(4 + program_info_count);
  while (!body.empty()) {
    if (body.size() < 5) return false;
    const std::size_t info_count = load_u16(body, 3) & 0x0fff;
    if (5 + info_count > body.size()) return false;
    StreamInfo stream;
    stream.stream_type = load_u8(body, 0);
    stream.pid = load_u16(body, 1) & 0x1fff;
    stream.codec = stream.stream_type == kPrivateData
                       ? codec_of_private(body.subspan(5, info_count))
                       : codec_of_type(stream.stream_type);
    add_stream(stream, map, counters);
    body = body.subspan(5 + info_count);
  }
  return true;
}

}  // namespace slipring::settop

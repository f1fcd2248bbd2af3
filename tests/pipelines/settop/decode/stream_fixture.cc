#include "tests/pipelines/settop/decode/stream_fixture.h"

#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>

namespace slipring::settop {
namespace {

constexpr std::size_t kPacketBytes = 188;

std::uint32_t byte_at(const std::vector<std::byte>& bytes, std::size_t at) {
  return std::to_integer<std::uint32_t>(bytes.at(at));
}

std::int64_t timestamp_at(const std::vector<std::byte>& pes, std::size_t at) {
  const std::uint64_t high = (byte_at(pes, at) >> 1) & 7U;
  const std::uint64_t middle = (byte_at(pes, at + 1) << 7) | (byte_at(pes, at + 2) >> 1);
  const std::uint64_t low = (byte_at(pes, at + 3) << 7) | (byte_at(pes, at + 4) >> 1);
  return static_cast<std::int64_t>((high << 30) | (middle << 15) | low);
}

PesPacket parse_pes(const std::vector<std::byte>& pes) {
  PesPacket packet;
  const std::uint32_t flags = byte_at(pes, 7) >> 6;
  if ((flags & 2U) != 0) packet.pts = timestamp_at(pes, 9);
  packet.dts = (flags & 1U) != 0 ? timestamp_at(pes, 14) : packet.pts;
  const std::size_t header_bytes = 9 + byte_at(pes, 8);
  packet.payload.assign(pes.begin() + static_cast<std::ptrdiff_t>(header_bytes), pes.end());
  return packet;
}

}  // namespace

std::string scratch_path(const std::string& name) {
  const char* directory = std::getenv("TEST_TMPDIR");
  return std::string(directory != nullptr ? directory : "/tmp") + "/" + name;
}

std::string output_of(const std::string& command) {
  INFO(command);
  std::FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  char block[4096];
  for (std::size_t got = 0; (got = std::fread(block, 1, sizeof block, pipe)) > 0;) {
    text.append(block, got);
  }
  REQUIRE(pclose(pipe) == 0);
  return text;
}

void run(const std::string& command) {
  (void)output_of(command);
}

void run_ffmpeg(const std::string& arguments) {
  run("ffmpeg -nostdin -hide_banner -loglevel fatal -y " + arguments);
}

std::vector<std::byte> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return {first, first + text.size()};
}

void write_file(const std::string& path, const std::vector<std::byte>& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  REQUIRE(file.good());
}

std::vector<PesPacket> pes_packets(const std::vector<std::byte>& transport_stream,
                                   std::uint16_t pid) {
  std::vector<PesPacket> packets;
  std::vector<std::byte> pes;
  for (std::size_t at = 0; at + kPacketBytes <= transport_stream.size(); at += kPacketBytes) {
    const std::uint32_t head =
        (byte_at(transport_stream, at + 1) << 8) | byte_at(transport_stream, at + 2);
    const std::uint32_t control = byte_at(transport_stream, at + 3) >> 4;
    if ((head & 0x1fffU) != pid || (control & 1U) == 0) continue;
    std::size_t start = at + 4;
    if ((control & 2U) != 0) start += 1 + byte_at(transport_stream, start);
    const bool starts_pes = (head & 0x4000U) != 0;
    if (starts_pes && !pes.empty()) packets.push_back(parse_pes(std::exchange(pes, {})));
    if (pes.empty() && !starts_pes) continue;  // joined in the middle
    pes.insert(pes.end(), transport_stream.begin() + static_cast<std::ptrdiff_t>(start),
               transport_stream.begin() + static_cast<std::ptrdiff_t>(at + kPacketBytes));
  }
  if (!pes.empty()) packets.push_back(parse_pes(pes));
  return packets;
}

std::vector<FrameLine> ffmpeg_video_frames(const std::string& path,
                                           const std::string& input_options) {
  std::istringstream text(
      output_of("ffmpeg -nostdin -hide_banner -loglevel quiet -copyts " + input_options + " -i " +
                path + " -map 0:v -fps_mode passthrough -enc_time_base 1:90000 -f framemd5 -"));
  std::vector<FrameLine> frames;
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("#")) continue;
    FrameLine frame;
    long long stream = 0;
    long long dts = 0;
    long long pts = 0;
    long long duration = 0;
    char md5[33] = {};
    REQUIRE(std::sscanf(line.c_str(), "%lld, %lld, %lld, %lld, %zu, %32s", &stream, &dts, &pts,
                        &duration, &frame.size_bytes, md5) == 6);
    frame.pts = pts;
    frame.md5 = md5;
    frames.push_back(frame);
  }
  return frames;
}

std::string md5_text(const std::uint8_t (&digest)[16]) {
  std::string text;
  for (const std::uint8_t byte : digest) {
    char hex[3];
    std::snprintf(hex, sizeof hex, "%02x", static_cast<unsigned>(byte));
    text += hex;
  }
  return text;
}

}  // namespace slipring::settop

// Streams made by the ffmpeg program, taken apart by code that shares nothing with the product.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "pipelines/settop/media_record.h"

namespace slipring::settop {

// A file name in the test's own directory.
[[nodiscard]] std::string scratch_path(const std::string& name);

// Runs a shell command and returns what it wrote to stdout.  A command that fails, fails the test.
[[nodiscard]] std::string output_of(const std::string& command);
void run(const std::string& command);

// Runs ffmpeg, quietly, overwriting its outputs.
void run_ffmpeg(const std::string& arguments);

[[nodiscard]] std::vector<std::byte> read_file(const std::string& path);
void write_file(const std::string& path, const std::vector<std::byte>& bytes);

struct PesPacket {
  std::int64_t pts = kNoTimestamp;
  std::int64_t dts = kNoTimestamp;
  std::vector<std::byte> payload;
};
// The PES packets of one PID of a transport stream without errors.
[[nodiscard]] std::vector<PesPacket> pes_packets(const std::vector<std::byte>& transport_stream,
                                                 std::uint16_t pid);

// ffmpeg's transport stream muxer puts the first stream there, and the second one behind it.
inline constexpr std::uint16_t kFirstPid = 0x100;
inline constexpr std::uint16_t kSecondPid = 0x101;

struct FrameLine {
  std::int64_t pts = 0;  // 90 kHz
  std::size_t size_bytes = 0;
  std::string md5;

  friend bool operator==(const FrameLine&, const FrameLine&) = default;
};
// What the ffmpeg program decodes from the file's video, frame by frame.
[[nodiscard]] std::vector<FrameLine> ffmpeg_video_frames(const std::string& path,
                                                         const std::string& input_options = "");

[[nodiscard]] std::string md5_text(const std::uint8_t (&digest)[16]);

}  // namespace slipring::settop

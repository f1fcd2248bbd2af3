// What a PMT says of a programme: its clock and its elementary streams.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "pipelines/settop/media_record.h"
#include "pipelines/settop/transport/demux_counters.h"
#include "pipelines/settop/transport/psi_section.h"
#include "pipelines/settop/transport/ts_packet.h"

namespace slipring::settop {

// Streams beyond these are counted and not known.
inline constexpr std::size_t kMaxStreamsPerProgram = 32;

struct StreamInfo {
  std::uint16_t pid = 0;
  std::uint8_t stream_type = 0;   // as the PMT has it
  Codec codec = Codec::kUnknown;  // kUnknown: nothing that this appliance decodes
};

struct ProgramMap {
  std::uint16_t program_number = 0;
  std::uint8_t version = 0;
  std::uint16_t clock_pid = kNullPid;  // kNullPid: the programme has no clock
  std::size_t stream_count = 0;
  std::array<StreamInfo, kMaxStreamsPerProgram> streams{};

  [[nodiscard]] std::span<const StreamInfo> all_streams() const {
    return {streams.data(), stream_count};
  }
};

[[nodiscard]] constexpr bool is_video(Codec codec) {
  return codec == Codec::kMpeg2Video || codec == Codec::kH264 || codec == Codec::kHevc;
}

[[nodiscard]] constexpr bool is_audio(Codec codec) {
  return codec == Codec::kMpegAudio || codec == Codec::kAacAdts || codec == Codec::kAacLatm ||
         codec == Codec::kAc3;
}

// Reads a PMT section.  Answers false, and leaves `map` half filled, if its lengths do not add up.
// Counts streams that are not supported or beyond the bound.
[[nodiscard]] bool parse_program_map(const SectionView& section, ProgramMap& map,
                                     DemuxCounters& counters);

}  // namespace slipring::settop

// What a demultiplexer hands on, and to whom.
//
// For each of the two streams a sink sees: (pes_begin pes_payload* pes_end)*.  The streams'
// sequences interleave freely.  Calls come from within Demultiplexer's functions, on the caller's
// thread; a sink must not call the demultiplexer back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "pipelines/settop/media_record.h"

namespace slipring::settop {

struct SelectedStream {
  Codec codec = Codec::kUnknown;  // kUnknown: the programme has no such stream that is supported
  std::uint16_t pid = 0;

  friend bool operator==(const SelectedStream&, const SelectedStream&) = default;
};

struct ProgramSelection {
  std::uint16_t program_number = 0;
  std::uint8_t map_version = 0;
  SelectedStream video;
  SelectedStream audio;
  // The stream starts anew: what came before on it is over.  False for both where only the rest of
  // the programme's map changed.
  bool video_changed = false;
  bool audio_changed = false;
};

struct PesStart {
  StreamKind kind = StreamKind::kVideo;
  Codec codec = Codec::kUnknown;
  std::uint16_t pid = 0;
  // 90 kHz, unwrapped on a line that all streams of the programme share; may be negative.
  // kNoTimestamp when absent; dts equals pts where only pts was sent, as the standard has it.
  std::int64_t pts = kNoTimestamp;
  std::int64_t dts = kNoTimestamp;
  std::uint64_t origin_ns = 0;  // given to push() with the bytes in which the packet began
  bool random_access = false;   // the multiplexer marked an entry point
  bool discontinuity = false;   // something is missing before, or the multiplexer announced a jump
};

enum class PesEnd : std::uint8_t {
  kWhole,
  kBroken,     // something is missing inside
  kAbandoned,  // the programme was left in the middle: what was handed on is of no more use
};

class DemuxSink {
 public:
  DemuxSink() = default;
  DemuxSink(const DemuxSink&) = delete;
  DemuxSink& operator=(const DemuxSink&) = delete;
  virtual ~DemuxSink() = default;

  // A programme was selected, or the map of the selected one changed.
  virtual void program_selected(const ProgramSelection& selection) = 0;
  virtual void pes_begin(const PesStart& start) = 0;
  // The next bytes, never none; at most a packet's.  They lie in what was given to push(), or in
  // the demultiplexer, and are valid during the call.
  virtual void pes_payload(StreamKind kind, std::span<const std::byte> bytes) = 0;
  virtual void pes_end(StreamKind kind, PesEnd end) = 0;
  // The programme's clock, of 27 MHz, on the same line as the time stamps (300 ticks to one).
  virtual void clock_reference(std::int64_t clock_27mhz, bool discontinuity) = 0;
};

}  // namespace slipring::settop

// Transport stream in, elementary streams of one programme out.
//
// bytes -> PacketFramer -> PID -> ProgramTable   (PAT and every programme's PMT)
//                              -> PesAssembler   (the selected video and the selected audio stream)
//                              -> clock
//
// The selected programme is the one asked for by number, or the first that the PAT lists; of its
// streams, the first video and the first audio stream of a supported codec, unless a PID is
// preferred.  A programme that is not there is waited for.  A programme selected as the first stays
// selected as long as the PAT lists it.
//
// Pure logic over bytes: no system calls, no allocation, no exceptions.  Everything that arrives is
// input; what is wrong with it is counted (demux_counters.h) and never stops the rest.  All bounds
// are fixed: kMaxPrograms, kMaxStreamsPerProgram, kMaxSectionBytes.  The object is about 215 KiB.
// Not thread-safe: one thread at a time, and a sink must not call back.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "pipelines/settop/transport/demux_counters.h"
#include "pipelines/settop/transport/demux_sink.h"
#include "pipelines/settop/transport/packet_framer.h"
#include "pipelines/settop/transport/pes_assembler.h"
#include "pipelines/settop/transport/program_table.h"
#include "pipelines/settop/transport/timestamp.h"
#include "pipelines/settop/transport/ts_packet.h"

namespace slipring::settop {

struct DemuxOptions {
  std::uint16_t program_number = 0;  // 0: the first that the PAT lists
  std::uint16_t video_pid = 0;       // preferred where the programme has it; 0: none
  std::uint16_t audio_pid = 0;
};

enum class SelectionState : std::uint8_t {
  kNoPat,          // nothing is known of any programme yet
  kProgramAbsent,  // the PAT does not list the programme
  kNoMap,          // listed, and its PMT has not come
  kSelected,
};

// The state as tools print it: "no PAT", "programme absent", …
[[nodiscard]] constexpr const char* name_of(SelectionState state) {
  switch (state) {
    case SelectionState::kNoPat:
      return "no PAT";
    case SelectionState::kProgramAbsent:
      return "programme absent";
    case SelectionState::kNoMap:
      return "no PMT";
    case SelectionState::kSelected:
      return "selected";
  }
  return "unknown";
}

class Demultiplexer {
 public:
  explicit Demultiplexer(const DemuxOptions& options = {});
  Demultiplexer(const Demultiplexer&) = delete;
  Demultiplexer& operator=(const Demultiplexer&) = delete;

  // Takes the next bytes of the stream, cut anywhere.  origin_ns, any number, comes back in the
  // PesStart of the packets that began in these bytes.  The sink is called before this returns.
  void push(std::span<const std::byte> bytes, DemuxSink& sink, std::uint64_t origin_ns = 0);

  // The stream is over: hands on what was held back, and ends open PES packets, of which unbounded
  // ones are complete.  More may be pushed: the tables stay known, sync is sought afresh.
  void flush(DemuxSink& sink);

  // Changes the programme, at once if its PMT is known.  Open PES packets are abandoned, and time
  // stamps start a new line, also when the number is that of the programme selected now.
  void select_program(std::uint16_t number, DemuxSink& sink);

  // The bytes that follow are of another transport stream: abandons open PES packets and forgets
  // everything but the counters and the number asked for.
  void restart(DemuxSink& sink);

  [[nodiscard]] SelectionState selection_state() const;
  // Meaningful while selection_state() is kSelected.
  [[nodiscard]] const ProgramSelection& selection() const { return selection_; }
  [[nodiscard]] const ProgramTable& programs() const { return programs_; }
  [[nodiscard]] const DemuxCounters& counters() const { return counters_; }

 private:
  enum class PidRole : std::uint8_t { kUnknown, kUnselected, kPat, kMap, kVideo, kAudio, kClock };

  struct PidUse {
    PidRole role = PidRole::kUnknown;
    std::uint8_t slot = 0;  // of kMap
  };
  static_assert(kMaxPrograms <= 256, "a slot fits PidUse");

  // One elementary stream and the continuity of its PID.
  struct Stream {
    explicit Stream(StreamKind kind) : assembler(kind) {}
    ContinuityTracker continuity;
    PesAssembler assembler;
  };

  [[nodiscard]] PesContext context(DemuxSink& sink) { return {timestamps_, counters_, sink}; }
  void take_packet(const FramedPacket& framed, DemuxSink& sink);
  void take_table_packet(const PidUse& use, const PacketView& packet, DemuxSink& sink);
  void take_stream_packet(Stream& stream, std::uint64_t& fate, std::uint64_t& errors,
                          const PacketView& packet, std::uint64_t origin_ns, DemuxSink& sink);
  void take_clock(const PacketView& packet, DemuxSink& sink);

  [[nodiscard]] const Program* wanted_program() const;
  void refresh_selection(DemuxSink& sink);
  void adopt_map(const Program& program, DemuxSink& sink);
  void leave_program(DemuxSink& sink);
  void restart_stream(Stream& stream, const SelectedStream& selected, DemuxSink& sink);
  void assign_pids();

  DemuxOptions options_;
  bool selected_ = false;
  std::uint16_t clock_pid_ = kNullPid;
  std::uint32_t map_crc_ = 0;
  ProgramSelection selection_;
  TimestampLine timestamps_;
  Stream video_{StreamKind::kVideo};
  Stream audio_{StreamKind::kAudio};
  PacketFramer framer_;
  ProgramTable programs_;
  DemuxCounters counters_;
  std::array<PidUse, kPidCount> pids_{};
};

}  // namespace slipring::settop

// One elementary stream: packets of its PID to PES packets.
//
// States: idle (waiting for a start), in the header, in the payload, and done (a bounded PES packet
// reached its length).  Payload is handed on as it comes and never stored; only the header is
// gathered, since it may be split anywhere.
//
// After a gap the rest of an open PES packet is handed on, as a decoder can use it, and its end
// says kBroken; a gap inside the header drops the PES packet.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "pipelines/settop/media_record.h"
#include "pipelines/settop/transport/continuity.h"
#include "pipelines/settop/transport/demux_counters.h"
#include "pipelines/settop/transport/demux_sink.h"
#include "pipelines/settop/transport/pes_header.h"
#include "pipelines/settop/transport/timestamp.h"
#include "pipelines/settop/transport/ts_packet.h"

namespace slipring::settop {

// What all streams of a programme share.
struct PesContext {
  TimestampLine& timestamps;
  DemuxCounters& counters;
  DemuxSink& sink;
};

class PesAssembler {
 public:
  explicit PesAssembler(StreamKind kind) : kind_(kind) {}

  [[nodiscard]] const SelectedStream& stream() const { return stream_; }

  // Takes up another stream.  Requires: abandon() was called before.
  void start(const SelectedStream& stream);

  // Requires: the packet is of this stream's PID, clear, and neither a copy nor in error.
  void push(const PacketView& packet, Continuity continuity, std::uint64_t origin_ns,
            const PesContext& context);

  // Packets are missing from here on, as far as can be told.
  void note_gap(DemuxCounters& counters);

  // The stream is over: ends the open PES packet, which is complete if it was unbounded.
  void flush(const PesContext& context);

  // Nobody wants the rest: ends the open PES packet as abandoned.
  void abandon(const PesContext& context);

 private:
  enum class State : std::uint8_t { kIdle, kHeader, kPayload, kDone };

  void begin_unit(const PacketView& packet, std::uint64_t origin_ns, const PesContext& context);
  [[nodiscard]] std::span<const std::byte> take_header(std::span<const std::byte> bytes,
                                                       const PesContext& context);
  void open_pes(const PesContext& context);
  void take_payload(std::span<const std::byte> bytes, const PesContext& context);
  void end_pes(PesEnd end, const PesContext& context);
  void refuse_header(std::uint64_t& counter);

  StreamKind kind_;
  State state_ = State::kIdle;
  bool bounded_ = false;
  bool broken_ = false;
  bool random_access_ = false;  // of the next PES packet
  bool discontinuity_ = false;  // before the next PES packet
  SelectedStream stream_;
  std::uint64_t origin_ns_ = 0;
  std::size_t remaining_count_ = 0;  // of a bounded payload
  std::size_t header_count_ = 0;
  std::size_t header_wanted_ = 0;
  std::array<std::byte, kPesMaxHeaderBytes> header_{};
};

}  // namespace slipring::settop

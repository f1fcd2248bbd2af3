#include "pipelines/settop/transport/demultiplexer.h"

namespace slipring::settop {
namespace {

constexpr std::uint16_t kClockExtensionCount = 300;  // 27 MHz ticks to one of 90 kHz

// The preferred PID if it carries such a stream, else the first that does.
template <typename IsKind>
SelectedStream choose_stream(const ProgramMap& map, std::uint16_t preferred_pid, IsKind is_kind) {
  SelectedStream chosen;
  for (const StreamInfo& stream : map.all_streams()) {
    if (!is_kind(stream.codec)) continue;
    if (chosen.codec != Codec::kUnknown && stream.pid != preferred_pid) continue;
    chosen = {stream.codec, stream.pid};
    if (stream.pid == preferred_pid) break;
  }
  return chosen;
}

}  // namespace

Demultiplexer::Demultiplexer(const DemuxOptions& options) : options_(options) {
  assign_pids();
}

void Demultiplexer::push(std::span<const std::byte> bytes, DemuxSink& sink,
                         std::uint64_t origin_ns) {
  framer_.push(bytes, origin_ns, counters_,
               [&](const FramedPacket& framed) { take_packet(framed, sink); });
}

void Demultiplexer::flush(DemuxSink& sink) {
  framer_.flush(counters_, [&](const FramedPacket& framed) { take_packet(framed, sink); });
  video_.assembler.flush(context(sink));
  audio_.assembler.flush(context(sink));
}

void Demultiplexer::select_program(std::uint16_t number, DemuxSink& sink) {
  leave_program(sink);
  options_.program_number = number;
  refresh_selection(sink);
}

void Demultiplexer::restart(DemuxSink& sink) {
  leave_program(sink);
  framer_.discard(counters_);
  programs_.reset();
  assign_pids();
}

SelectionState Demultiplexer::selection_state() const {
  if (selected_) return SelectionState::kSelected;
  if (wanted_program() != nullptr) return SelectionState::kNoMap;
  return programs_.pat_known() ? SelectionState::kProgramAbsent : SelectionState::kNoPat;
}

void Demultiplexer::take_packet(const FramedPacket& framed, DemuxSink& sink) {
  if (framed.after_long_gap) {
    programs_.distrust();
    video_.continuity.distrust();
    audio_.continuity.distrust();
  }
  PacketView packet;
  const PacketParse parse = parse_packet(framed.bytes, packet);
  if (packet.transport_error) {
    ++counters_.transport_error_packets;
    return;
  }
  if (packet.pid == kNullPid) {
    ++counters_.null_packets;
    return;
  }
  if (parse != PacketParse::kOk) {
    ++counters_.malformed_packets;
    return;
  }
  if (packet.adaptation_error) ++counters_.adaptation_errors;
  // The clock comes before the time stamps of the same packet.  A copy's clock is valid too.
  if (packet.has_clock && selected_ && packet.pid == clock_pid_) take_clock(packet, sink);

  const PidUse use = pids_[packet.pid];
  if (packet.discontinuity && use.role > PidRole::kUnselected) {
    ++counters_.announced_discontinuities;
  }
  switch (use.role) {
    case PidRole::kPat:
    case PidRole::kMap:
      take_table_packet(use, packet, sink);
      break;
    case PidRole::kVideo:
      take_stream_packet(video_, counters_.video_packets, counters_.continuity_errors_video, packet,
                         framed.origin_ns, sink);
      break;
    case PidRole::kAudio:
      take_stream_packet(audio_, counters_.audio_packets, counters_.continuity_errors_audio, packet,
                         framed.origin_ns, sink);
      break;
    case PidRole::kClock:
      ++counters_.clock_packets;
      break;
    case PidRole::kUnselected:
      ++counters_.unselected_packets;
      break;
    case PidRole::kUnknown:
      ++counters_.unknown_pid_packets;
      break;
  }
}

void Demultiplexer::take_table_packet(const PidUse& use, const PacketView& packet,
                                      DemuxSink& sink) {
  if (packet.scrambled) {
    ++counters_.scrambled_packets;
    return;
  }
  const bool changed = use.role == PidRole::kPat ? programs_.push_pat(packet, counters_)
                                                 : programs_.push_map(use.slot, packet, counters_);
  if (changed) refresh_selection(sink);
}

void Demultiplexer::take_stream_packet(Stream& stream, std::uint64_t& fate, std::uint64_t& errors,
                                       const PacketView& packet, std::uint64_t origin_ns,
                                       DemuxSink& sink) {
  const Continuity continuity = stream.continuity.check(packet);
  if (continuity == Continuity::kGap || continuity == Continuity::kRepeated) ++errors;
  if (continuity == Continuity::kDuplicate || continuity == Continuity::kRepeated) {
    ++counters_.duplicate_packets;
    if (continuity == Continuity::kRepeated) stream.assembler.note_gap(counters_);
    return;
  }
  if (packet.scrambled) {
    ++counters_.scrambled_packets;
    stream.assembler.note_gap(counters_);
    return;
  }
  ++fate;
  stream.assembler.push(packet, continuity, origin_ns, context(sink));
}

void Demultiplexer::take_clock(const PacketView& packet, DemuxSink& sink) {
  if (packet.clock_extension >= kClockExtensionCount) {
    ++counters_.clock_errors;
    return;
  }
  ++counters_.clock_references;
  const std::int64_t base = timestamps_.follow(packet.clock_base);
  sink.clock_reference(base * kClockExtensionCount + packet.clock_extension, packet.discontinuity);
}

const Program* Demultiplexer::wanted_program() const {
  if (options_.program_number != 0) return programs_.find(options_.program_number);
  const Program* current = selected_ ? programs_.find(selection_.program_number) : nullptr;
  return current != nullptr ? current : programs_.first();
}

// Brings the selection in line with the tables, which have changed, or with another wish.
void Demultiplexer::refresh_selection(DemuxSink& sink) {
  const Program* program = wanted_program();
  if (selected_ && (program == nullptr || program->number != selection_.program_number)) {
    ++counters_.selections_lost;
    leave_program(sink);
  }
  const bool stale = !selected_ || (program != nullptr && program->map_crc != map_crc_);
  if (program != nullptr && program->map_known && stale) adopt_map(*program, sink);
  assign_pids();
}

void Demultiplexer::adopt_map(const Program& program, DemuxSink& sink) {
  const ProgramMap& map = program.map;
  ProgramSelection next;
  next.program_number = program.number;
  next.map_version = map.version;
  next.video = choose_stream(map, options_.video_pid, is_video);
  next.audio = choose_stream(map, options_.audio_pid, is_audio);
  next.video_changed = !selected_ || next.video != selection_.video;
  next.audio_changed = !selected_ || next.audio != selection_.audio;
  if (!selected_) {
    ++counters_.selections;
    timestamps_.reset();
  }
  if (next.video_changed) restart_stream(video_, next.video, sink);
  if (next.audio_changed) restart_stream(audio_, next.audio, sink);
  selected_ = true;
  selection_ = next;
  map_crc_ = program.map_crc;
  clock_pid_ = map.clock_pid;
  sink.program_selected(selection_);
}

void Demultiplexer::leave_program(DemuxSink& sink) {
  restart_stream(video_, {}, sink);
  restart_stream(audio_, {}, sink);
  selected_ = false;
  clock_pid_ = kNullPid;
}

void Demultiplexer::restart_stream(Stream& stream, const SelectedStream& selected,
                                   DemuxSink& sink) {
  stream.assembler.abandon(context(sink));
  stream.assembler.start(selected);
  stream.continuity.reset();
}

// Later assignments win: tables over streams, and what is selected over what is not.
void Demultiplexer::assign_pids() {
  pids_.fill(PidUse{});
  for (std::size_t pid = 0; pid < 0x20; ++pid) pids_[pid].role = PidRole::kUnselected;
  const auto slots = programs_.slots();
  for (const Program& program : slots) {
    if (!program.used || !program.map_known) continue;
    pids_[program.map.clock_pid].role = PidRole::kUnselected;
    for (const StreamInfo& stream : program.map.all_streams()) {
      pids_[stream.pid].role = PidRole::kUnselected;
    }
  }
  if (selected_) {
    pids_[clock_pid_].role = PidRole::kClock;
    if (selection_.audio.codec != Codec::kUnknown)
      pids_[selection_.audio.pid].role = PidRole::kAudio;
    if (selection_.video.codec != Codec::kUnknown)
      pids_[selection_.video.pid].role = PidRole::kVideo;
  }
  for (std::size_t slot = slots.size(); slot-- > 0;) {
    if (slots[slot].used) {
      pids_[slots[slot].map_pid] = {PidRole::kMap, static_cast<std::uint8_t>(slot)};
    }
  }
  pids_[kPatPid].role = PidRole::kPat;
}

}  // namespace slipring::settop

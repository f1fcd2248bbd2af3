// What happened to a transport stream, by name.
//
// Every packet has exactly one fate: packets == sum_of_fates().  Every byte has one
// too: after flush(), bytes == packets * 188 + trailer_bytes + skipped_bytes + truncated_bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace slipring::settop {

struct DemuxCounters {
  // Framing.
  std::uint64_t bytes = 0;
  std::uint64_t packets = 0;
  std::uint64_t skipped_bytes = 0;    // passed over while looking for sync
  std::uint64_t trailer_bytes = 0;    // time codes or parity between packets (192, 204 byte forms)
  std::uint64_t truncated_bytes = 0;  // a piece of a packet at the end of the stream
  std::uint64_t sync_acquisitions = 0;  // the first one counts
  std::uint64_t sync_losses = 0;

  // The fates of a packet.
  std::uint64_t null_packets = 0;
  std::uint64_t sync_byte_error_packets = 0;  // a wrong sync byte between right ones
  std::uint64_t transport_error_packets = 0;  // marked as wrong by the receiver's hardware
  std::uint64_t malformed_packets = 0;
  std::uint64_t scrambled_packets = 0;  // of PIDs in use
  std::uint64_t duplicate_packets = 0;  // of PIDs in use
  std::uint64_t pat_packets = 0;
  std::uint64_t pmt_packets = 0;
  std::uint64_t video_packets = 0;
  std::uint64_t audio_packets = 0;
  std::uint64_t clock_packets = 0;       // of a PID that only carries the clock
  std::uint64_t unselected_packets = 0;  // of PIDs that the tables name and nobody asked for
  std::uint64_t unknown_pid_packets = 0;

  // Continuity.
  std::uint64_t continuity_errors_tables = 0;
  std::uint64_t continuity_errors_video = 0;
  std::uint64_t continuity_errors_audio = 0;
  std::uint64_t announced_discontinuities = 0;  // of PIDs in use
  std::uint64_t adaptation_errors = 0;

  // Tables.
  std::uint64_t sections = 0;  // sound ones of a PAT or PMT, repetitions too
  std::uint64_t section_crc_errors = 0;
  std::uint64_t section_errors = 0;    // cut short, or contents that do not add up
  std::uint64_t foreign_sections = 0;  // other tables on the same PID, or not yet in force
  std::uint64_t pat_changes = 0;       // the first PAT counts
  std::uint64_t pmt_changes = 0;       // the first PMT of each programme counts
  std::uint64_t programs_seen = 0;
  std::uint64_t programs_removed = 0;
  std::uint64_t programs_refused = 0;  // more than the fixed table holds
  std::uint64_t streams_refused = 0;
  std::uint64_t unsupported_streams = 0;
  std::uint64_t selections = 0;
  std::uint64_t selections_lost = 0;  // the selected programme left the PAT

  // PES packets of the selected programme.
  std::uint64_t pes_video = 0;  // handed on to their end, broken ones too
  std::uint64_t pes_audio = 0;
  std::uint64_t pes_broken = 0;
  std::uint64_t pes_abandoned = 0;        // ended by a change of programme
  std::uint64_t pes_short = 0;            // ended before their announced length; broken too
  std::uint64_t pes_header_errors = 0;    // not handed on
  std::uint64_t pes_foreign = 0;          // padding and other kinds; not handed on
  std::uint64_t timestamp_errors = 0;     // announced, and not there
  std::uint64_t pes_surplus_bytes = 0;    // behind the announced length
  std::uint64_t packets_outside_pes = 0;  // before the first start, or after an end
  std::uint64_t random_access_points = 0;
  std::uint64_t video_bytes = 0;
  std::uint64_t audio_bytes = 0;
  std::uint64_t clock_references = 0;
  std::uint64_t clock_errors = 0;

  // Calls f(const char* name, std::uint64_t value) for every counter, in the order above.
  template <typename F>
  void for_each(F&& f) const;
};

namespace demux_counters_detail {

struct Field {
  const char* name;
  std::uint64_t DemuxCounters::*value;
};

inline constexpr auto kFields = std::to_array<Field>({
    {"bytes", &DemuxCounters::bytes},
    {"packets", &DemuxCounters::packets},
    {"skipped_bytes", &DemuxCounters::skipped_bytes},
    {"trailer_bytes", &DemuxCounters::trailer_bytes},
    {"truncated_bytes", &DemuxCounters::truncated_bytes},
    {"sync_acquisitions", &DemuxCounters::sync_acquisitions},
    {"sync_losses", &DemuxCounters::sync_losses},
    {"null_packets", &DemuxCounters::null_packets},
    {"sync_byte_error_packets", &DemuxCounters::sync_byte_error_packets},
    {"transport_error_packets", &DemuxCounters::transport_error_packets},
    {"malformed_packets", &DemuxCounters::malformed_packets},
    {"scrambled_packets", &DemuxCounters::scrambled_packets},
    {"duplicate_packets", &DemuxCounters::duplicate_packets},
    {"pat_packets", &DemuxCounters::pat_packets},
    {"pmt_packets", &DemuxCounters::pmt_packets},
    {"video_packets", &DemuxCounters::video_packets},
    {"audio_packets", &DemuxCounters::audio_packets},
    {"clock_packets", &DemuxCounters::clock_packets},
    {"unselected_packets", &DemuxCounters::unselected_packets},
    {"unknown_pid_packets", &DemuxCounters::unknown_pid_packets},
    {"continuity_errors_tables", &DemuxCounters::continuity_errors_tables},
    {"continuity_errors_video", &DemuxCounters::continuity_errors_video},
    {"continuity_errors_audio", &DemuxCounters::continuity_errors_audio},
    {"announced_discontinuities", &DemuxCounters::announced_discontinuities},
    {"adaptation_errors", &DemuxCounters::adaptation_errors},
    {"sections", &DemuxCounters::sections},
    {"section_crc_errors", &DemuxCounters::section_crc_errors},
    {"section_errors", &DemuxCounters::section_errors},
    {"foreign_sections", &DemuxCounters::foreign_sections},
    {"pat_changes", &DemuxCounters::pat_changes},
    {"pmt_changes", &DemuxCounters::pmt_changes},
    {"programs_seen", &DemuxCounters::programs_seen},
    {"programs_removed", &DemuxCounters::programs_removed},
    {"programs_refused", &DemuxCounters::programs_refused},
    {"streams_refused", &DemuxCounters::streams_refused},
    {"unsupported_streams", &DemuxCounters::unsupported_streams},
    {"selections", &DemuxCounters::selections},
    {"selections_lost", &DemuxCounters::selections_lost},
    {"pes_video", &DemuxCounters::pes_video},
    {"pes_audio", &DemuxCounters::pes_audio},
    {"pes_broken", &DemuxCounters::pes_broken},
    {"pes_abandoned", &DemuxCounters::pes_abandoned},
    {"pes_short", &DemuxCounters::pes_short},
    {"pes_header_errors", &DemuxCounters::pes_header_errors},
    {"pes_foreign", &DemuxCounters::pes_foreign},
    {"timestamp_errors", &DemuxCounters::timestamp_errors},
    {"pes_surplus_bytes", &DemuxCounters::pes_surplus_bytes},
    {"packets_outside_pes", &DemuxCounters::packets_outside_pes},
    {"random_access_points", &DemuxCounters::random_access_points},
    {"video_bytes", &DemuxCounters::video_bytes},
    {"audio_bytes", &DemuxCounters::audio_bytes},
    {"clock_references", &DemuxCounters::clock_references},
    {"clock_errors", &DemuxCounters::clock_errors},
});
static_assert(kFields.size() * sizeof(std::uint64_t) == sizeof(DemuxCounters),
              "a counter without a name is a counter that nobody reads");

}  // namespace demux_counters_detail

template <typename F>
void DemuxCounters::for_each(F&& f) const {
  for (const auto& field : demux_counters_detail::kFields) f(field.name, this->*field.value);
}

// The sum of the fates: equal to `packets` at any time.
[[nodiscard]] constexpr std::uint64_t sum_of_fates(const DemuxCounters& c) {
  return c.null_packets + c.sync_byte_error_packets + c.transport_error_packets +
         c.malformed_packets + c.scrambled_packets + c.duplicate_packets + c.pat_packets +
         c.pmt_packets + c.video_packets + c.audio_packets + c.clock_packets +
         c.unselected_packets + c.unknown_pid_packets;
}

}  // namespace slipring::settop

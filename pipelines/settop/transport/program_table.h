// The programmes of a transport stream: what its PAT lists and what their PMTs say.
//
// All programmes' PMTs are read all the time, so that a change of programme need not wait for the
// next one.  A PAT may have several sections; programmes that a new PAT does not list go when all
// its sections have come, so that those it lists are never missed in between.  Tables count as
// changed when their CRC differs: a stream spliced to another may repeat version numbers.
//
// Everything is bounded and inside the object, about 190 KiB: do not put it on a small stack.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <span>

#include "pipelines/settop/transport/continuity.h"
#include "pipelines/settop/transport/demux_counters.h"
#include "pipelines/settop/transport/program_map.h"
#include "pipelines/settop/transport/psi_section.h"
#include "pipelines/settop/transport/ts_packet.h"

namespace slipring::settop {

// Programmes beyond these are counted and not known.
inline constexpr std::size_t kMaxPrograms = 128;

struct Program {
  bool used = false;
  bool map_known = false;
  std::uint16_t number = 0;
  std::uint16_t map_pid = 0;
  std::uint32_t order = 0;  // place in the PAT
  std::uint32_t map_crc = 0;
  ProgramMap map;  // when map_known
};

class ProgramTable {
 public:
  // Takes a clear packet of the PAT's PID.  Answers whether the programmes changed.
  [[nodiscard]] bool push_pat(const PacketView& packet, DemuxCounters& counters);

  // Takes a clear packet of a PMT's PID, map_pid of the programme in that slot.  Answers whether a
  // programme's map changed; several programmes may share the PID.  Requires: slot < kMaxPrograms.
  [[nodiscard]] bool push_map(std::size_t slot, const PacketView& packet, DemuxCounters& counters);

  // A PAT has come, whole.
  [[nodiscard]] bool pat_known() const { return pat_known_; }

  // Null if there is none.  Valid until the next push.
  [[nodiscard]] const Program* find(std::uint16_t number) const;
  [[nodiscard]] const Program* first() const;

  // Slots, of which some are not in use.
  [[nodiscard]] std::span<const Program, kMaxPrograms> slots() const { return programs_; }

  // So many packets are missing that continuity counters may have come round.
  void distrust();

  void reset();

 private:
  // How a PMT's PID is read.  Where programmes share one, the channel of one of them is used.
  struct Channel {
    SectionAssembler sections;
    ContinuityTracker continuity;
  };

  [[nodiscard]] bool take_pat(std::span<const std::byte> bytes, DemuxCounters& counters);
  [[nodiscard]] bool take_map(std::span<const std::byte> bytes, std::uint16_t pid,
                              DemuxCounters& counters);
  void list_program(std::uint16_t number, std::uint16_t pid, std::uint32_t order,
                    DemuxCounters& counters);
  [[nodiscard]] std::size_t find_slot(std::uint16_t number) const;
  [[nodiscard]] std::size_t free_slot() const;
  void remove_unlisted(DemuxCounters& counters);

  bool pat_known_ = false;
  bool pat_begun_ = false;
  std::uint8_t pat_version_ = 0;
  std::uint8_t pat_last_number_ = 0;
  std::uint32_t pat_generation_ = 0;
  Channel pat_;
  std::bitset<256> pat_seen_;
  std::array<std::uint32_t, 256> pat_crc_{};  // of the sections seen

  std::array<Program, kMaxPrograms> programs_{};
  std::array<std::uint32_t, kMaxPrograms> generation_{};  // of the PAT that listed it last
  std::array<Channel, kMaxPrograms> channels_{};
};

}  // namespace slipring::settop

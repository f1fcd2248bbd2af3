#include "pipelines/settop/transport/program_table.h"

#include <algorithm>

#include "pipelines/settop/transport/big_endian.h"

namespace slipring::settop {
namespace {

// Sees to continuity.  Answers whether the packet is to be read.
bool admit(const PacketView& packet, ContinuityTracker& continuity, SectionAssembler& sections,
           DemuxCounters& counters) {
  switch (continuity.check(packet)) {
    case Continuity::kInOrder:
      return true;
    case Continuity::kDuplicate:
      ++counters.duplicate_packets;
      return false;
    case Continuity::kRepeated:
      ++counters.duplicate_packets;
      ++counters.continuity_errors_tables;
      sections.drop(counters);
      return false;
    case Continuity::kAnnouncedJump:
      sections.drop(counters);
      return true;
    case Continuity::kGap:
      ++counters.continuity_errors_tables;
      sections.drop(counters);
      return true;
  }
  return true;
}

// Parses, counts, and answers whether the section is one to use.
bool accept(std::span<const std::byte> bytes, std::uint8_t table_id, SectionView& section,
            DemuxCounters& counters) {
  switch (parse_section(bytes, table_id, section)) {
    case SectionParse::kOk:
      ++counters.sections;
      return true;
    case SectionParse::kForeign:
      ++counters.foreign_sections;
      return false;
    case SectionParse::kMalformed:
      ++counters.section_errors;
      return false;
    case SectionParse::kBadCrc:
      ++counters.section_crc_errors;
      return false;
  }
  return false;
}

}  // namespace

bool ProgramTable::push_pat(const PacketView& packet, DemuxCounters& counters) {
  if (!admit(packet, pat_.continuity, pat_.sections, counters)) return false;
  ++counters.pat_packets;
  bool changed = false;
  pat_.sections.push(
      packet.payload, packet.unit_start, counters,
      [&](std::span<const std::byte> section) { changed |= take_pat(section, counters); });
  return changed;
}

bool ProgramTable::push_map(std::size_t slot, const PacketView& packet, DemuxCounters& counters) {
  Channel& channel = channels_[slot];
  if (!admit(packet, channel.continuity, channel.sections, counters)) return false;
  ++counters.pmt_packets;
  bool changed = false;
  channel.sections.push(packet.payload, packet.unit_start, counters,
                        [&](std::span<const std::byte> section) {
                          changed |= take_map(section, packet.pid, counters);
                        });
  return changed;
}

const Program* ProgramTable::find(std::uint16_t number) const {
  const std::size_t slot = find_slot(number);
  return slot < kMaxPrograms ? &programs_[slot] : nullptr;
}

const Program* ProgramTable::first() const {
  const Program* found = nullptr;
  for (const Program& program : programs_) {
    if (program.used && (found == nullptr || program.order < found->order)) found = &program;
  }
  return found;
}

void ProgramTable::distrust() {
  pat_.continuity.distrust();
  for (Channel& channel : channels_) channel.continuity.distrust();
}

void ProgramTable::reset() {
  pat_known_ = false;
  pat_begun_ = false;
  pat_seen_.reset();
  pat_.sections.reset();
  pat_.continuity.reset();
  for (Program& program : programs_) program.used = false;
}

bool ProgramTable::take_pat(std::span<const std::byte> bytes, DemuxCounters& counters) {
  constexpr std::size_t kEntryBytes = 4;
  SectionView section;
  if (!accept(bytes, kPatTableId, section, counters)) return false;
  if (section.body.size() % kEntryBytes != 0) {
    ++counters.section_errors;
    return false;
  }
  const bool seen = pat_seen_[section.number];
  const bool another = !pat_begun_ || section.version != pat_version_ ||
                       section.last_number != pat_last_number_ ||
                       (seen && section.crc != pat_crc_[section.number]);
  if (!another && seen) return false;
  if (another) {
    ++counters.pat_changes;
    ++pat_generation_;
    pat_begun_ = true;
    pat_version_ = section.version;
    pat_last_number_ = section.last_number;
    pat_seen_.reset();
  }
  pat_seen_.set(section.number);
  pat_crc_[section.number] = section.crc;
  for (std::size_t offset = 0; offset < section.body.size(); offset += kEntryBytes) {
    const std::uint16_t number = load_u16(section.body, offset);
    const std::uint16_t pid = load_u16(section.body, offset + 2) & 0x1fff;
    const auto order = static_cast<std::uint32_t>(section.number * kMaxSectionBytes + offset);
    if (number != 0) list_program(number, pid, order, counters);  // 0 names the network's table
  }
  if (pat_seen_.count() == std::size_t{pat_last_number_} + 1) {
    pat_known_ = true;
    remove_unlisted(counters);
  }
  return true;
}

bool ProgramTable::take_map(std::span<const std::byte> bytes, std::uint16_t pid,
                            DemuxCounters& counters) {
  SectionView section;
  if (!accept(bytes, kPmtTableId, section, counters)) return false;
  const std::size_t slot = find_slot(section.id);
  if (slot == kMaxPrograms || programs_[slot].map_pid != pid) {
    ++counters.foreign_sections;
    return false;
  }
  Program& program = programs_[slot];
  if (program.map_known && program.map_crc == section.crc) return false;
  ProgramMap map;
  if (!parse_program_map(section, map, counters)) {
    ++counters.section_errors;
    return false;
  }
  ++counters.pmt_changes;
  program.map_known = true;
  program.map_crc = section.crc;
  program.map = map;
  return true;
}

void ProgramTable::list_program(std::uint16_t number, std::uint16_t pid, std::uint32_t order,
                                DemuxCounters& counters) {
  if (pid < kFirstFreePid || pid == kNullPid) {
    ++counters.programs_refused;
    return;
  }
  std::size_t slot = find_slot(number);
  if (slot < kMaxPrograms && generation_[slot] == pat_generation_) return;  // listed twice
  if (slot == kMaxPrograms) {
    slot = free_slot();
    if (slot == kMaxPrograms) {
      ++counters.programs_refused;
      return;
    }
    if (programs_[slot].used) ++counters.programs_removed;
    ++counters.programs_seen;
    programs_[slot] = Program{};
    programs_[slot].used = true;
    programs_[slot].number = number;
  }
  // A map on another PID replaces the one that is known when it comes, not before.
  Program& program = programs_[slot];
  if (program.map_pid != pid) {
    channels_[slot].sections.reset();
    channels_[slot].continuity.reset();
  }
  program.map_pid = pid;
  program.order = order;
  generation_[slot] = pat_generation_;
}

std::size_t ProgramTable::find_slot(std::uint16_t number) const {
  const auto* found = std::find_if(programs_.begin(), programs_.end(), [&](const Program& program) {
    return program.used && program.number == number;
  });
  return static_cast<std::size_t>(found - programs_.begin());
}

// An unused slot, or else one of a programme that the newest PAT has not listed (yet): in a full
// table those listed come first.
std::size_t ProgramTable::free_slot() const {
  std::size_t unlisted = kMaxPrograms;
  for (std::size_t slot = 0; slot < kMaxPrograms; ++slot) {
    if (!programs_[slot].used) return slot;
    if (generation_[slot] != pat_generation_) unlisted = slot;
  }
  return unlisted;
}

void ProgramTable::remove_unlisted(DemuxCounters& counters) {
  for (std::size_t slot = 0; slot < kMaxPrograms; ++slot) {
    if (!programs_[slot].used || generation_[slot] == pat_generation_) continue;
    programs_[slot].used = false;
    ++counters.programs_removed;
  }
}

}  // namespace slipring::settop

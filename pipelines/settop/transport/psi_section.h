// Sections: the tables' pieces, put together from packets and checked.
//
// A section starts in a packet with unit_start, where a pointer field says; it may run over any
// number of packets, and several may share one.  Bytes 0xff where a section would start are
// stuffing up to the packet's end.  PAT and PMT sections are at most 1024 bytes; a longer one (a
// private table on the same PID) is passed over without being stored.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "pipelines/settop/transport/big_endian.h"
#include "pipelines/settop/transport/copy_bytes.h"
#include "pipelines/settop/transport/crc32.h"
#include "pipelines/settop/transport/demux_counters.h"

namespace slipring::settop {

inline constexpr std::size_t kMaxSectionBytes = 1024;
inline constexpr std::uint8_t kPatTableId = 0x00;
inline constexpr std::uint8_t kPmtTableId = 0x02;

// A sound section of the long form.
struct SectionView {
  std::uint16_t id = 0;  // PAT: transport stream; PMT: programme number
  std::uint8_t version = 0;
  std::uint8_t number = 0;
  std::uint8_t last_number = 0;
  std::uint32_t crc = 0;
  std::span<const std::byte> body;  // between the eight header bytes and the CRC
};

enum class SectionParse : std::uint8_t { kOk, kForeign, kMalformed, kBadCrc };

// kForeign: another table, or one that is announced and not yet in force.
[[nodiscard]] inline SectionParse parse_section(std::span<const std::byte> section,
                                                std::uint8_t table_id, SectionView& view) {
  constexpr std::size_t kHeaderBytes = 8;
  constexpr std::size_t kCrcBytes = 4;
  if (section.empty() || load_u8(section, 0) != table_id) return SectionParse::kForeign;
  if (section.size() < kHeaderBytes + kCrcBytes) return SectionParse::kMalformed;
  if (crc32_mpeg(section) != 0) return SectionParse::kBadCrc;
  if ((load_u8(section, 1) & 0x80) == 0) return SectionParse::kMalformed;
  if ((load_u8(section, 5) & 0x01) == 0) return SectionParse::kForeign;
  view.id = load_u16(section, 3);
  view.version = load_u8(section, 5) >> 1 & 0x1f;
  view.number = load_u8(section, 6);
  view.last_number = load_u8(section, 7);
  view.crc = load_u32(section, section.size() - kCrcBytes);
  view.body = section.subspan(kHeaderBytes, section.size() - kHeaderBytes - kCrcBytes);
  return view.number <= view.last_number ? SectionParse::kOk : SectionParse::kMalformed;
}

class SectionAssembler {
 public:
  // Calls visit(std::span<const std::byte>) for every whole section, whose bytes are valid during
  // the call.  visit must not use this assembler.
  template <typename Visit>
  void push(std::span<const std::byte> payload, bool unit_start, DemuxCounters& counters,
            Visit&& visit) {
    if (payload.empty()) return;
    if (!unit_start) {
      if (active_) append(payload, counters, visit);
      return;
    }
    const std::size_t pointer = load_u8(payload, 0);
    if (1 + pointer > payload.size()) {
      ++counters.section_errors;
      active_ = false;
      return;
    }
    if (active_) append(payload.subspan(1, pointer), counters, visit);
    if (active_) {
      ++counters.section_errors;
      active_ = false;
    }
    auto rest = payload.subspan(1 + pointer);
    while (!rest.empty() && rest[0] != kStuffing) {
      active_ = true;
      count_ = 0;
      rest = append(rest, counters, visit);
    }
  }

  // Packets are missing: what was begun cannot be finished.
  void drop(DemuxCounters& counters) {
    if (active_) ++counters.section_errors;
    active_ = false;
  }

  void reset() { active_ = false; }

 private:
  static constexpr std::byte kStuffing{0xff};
  static constexpr std::size_t kLengthBytes = 3;  // the table id and the length

  void take(std::span<const std::byte>& bytes, std::size_t upto) {
    const std::size_t taken = std::min(upto - count_, bytes.size());
    if (count_ < kMaxSectionBytes) {
      copy_bytes(std::span(buffer_).subspan(count_),
                 bytes.first(std::min(taken, kMaxSectionBytes - count_)));
    }
    count_ += taken;
    bytes = bytes.subspan(taken);
  }

  // Requires: active_.  Returns what lies behind the section's end.
  template <typename Visit>
  std::span<const std::byte> append(std::span<const std::byte> bytes, DemuxCounters& counters,
                                    Visit& visit) {
    if (count_ < kLengthBytes) take(bytes, kLengthBytes);
    if (count_ < kLengthBytes) return bytes;
    const std::size_t whole_count = kLengthBytes + (load_u16(buffer_, 1) & 0x0fff);
    take(bytes, whole_count);
    if (count_ < whole_count) return bytes;
    active_ = false;
    if (whole_count > kMaxSectionBytes) {
      ++counters.foreign_sections;
    } else {
      visit(std::span<const std::byte>(buffer_.data(), whole_count));
    }
    return bytes;
  }

  bool active_ = false;
  std::size_t count_ = 0;  // bytes of the section so far, those not stored too
  std::array<std::byte, kMaxSectionBytes> buffer_{};
};

}  // namespace slipring::settop

// One transport packet: 188 bytes, read into a view.
//
// A packet is input.  Parsing touches nothing outside the 188 bytes whatever they say; what does
// not add up is reported, never trusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "pipelines/settop/transport/big_endian.h"

namespace slipring::settop {

inline constexpr std::size_t kPacketBytes = 188;
inline constexpr std::byte kSyncByte{0x47};
inline constexpr std::size_t kPidCount = 8192;
inline constexpr std::uint16_t kPatPid = 0;
inline constexpr std::uint16_t kFirstFreePid = 0x0010;  // below: tables of the standard
inline constexpr std::uint16_t kNullPid = 0x1fff;

struct PacketView {
  std::uint16_t pid = 0;
  std::uint8_t continuity_count = 0;  // 0..15
  bool unit_start = false;            // a PES packet or a section starts in the payload
  bool transport_error = false;       // a demodulator says that the packet is wrong: trust nothing
  bool scrambled = false;
  bool has_payload = false;  // and so the continuity counter advances; the payload may be empty
  bool discontinuity = false;
  bool random_access = false;
  bool has_clock = false;
  bool adaptation_error = false;       // the adaptation field announces more than its length holds
  std::uint64_t clock_base = 0;        // 90 kHz, 33 bits
  std::uint16_t clock_extension = 0;   // 27 MHz, 0..511; sound below 300
  std::span<const std::byte> payload;  // inside the packet that was parsed
};

enum class PacketParse : std::uint8_t {
  kOk,
  kBadSync,
  kMalformed,  // no payload and no adaptation field, or the adaptation field leaves the packet
};

namespace ts_packet_detail {

// Requires: the field, flags byte first, is not empty.
inline void parse_adaptation(std::span<const std::byte> field, PacketView& view) {
  const std::uint8_t flags = load_u8(field, 0);
  view.discontinuity = (flags & 0x80) != 0;
  view.random_access = (flags & 0x40) != 0;
  if ((flags & 0x10) == 0) return;
  if (field.size() < 7) {
    view.adaptation_error = true;
    return;
  }
  view.has_clock = true;
  view.clock_base = std::uint64_t{load_u32(field, 1)} << 1 | load_u8(field, 5) >> 7;
  view.clock_extension = load_u16(field, 5) & 0x1ff;
}

}  // namespace ts_packet_detail

// Fills `view`, whose payload points into `packet`.  After kMalformed, and where transport_error is
// set, only the header's fields are filled.
[[nodiscard]] inline PacketParse parse_packet(std::span<const std::byte, kPacketBytes> packet,
                                              PacketView& view) {
  view = PacketView{};
  if (packet[0] != kSyncByte) return PacketParse::kBadSync;
  const std::uint16_t word = load_u16(packet, 1);
  const std::uint8_t control = load_u8(packet, 3);
  view.transport_error = (word & 0x8000) != 0;
  view.unit_start = (word & 0x4000) != 0;
  view.pid = word & 0x1fff;
  view.scrambled = (control & 0xc0) != 0;
  view.continuity_count = control & 0x0f;
  if (view.transport_error) return PacketParse::kOk;

  const bool has_adaptation = (control & 0x20) != 0;
  view.has_payload = (control & 0x10) != 0;
  if (!has_adaptation && !view.has_payload) return PacketParse::kMalformed;
  std::size_t payload_offset = 4;
  if (has_adaptation) {
    const std::size_t length = load_u8(packet, 4);
    payload_offset = 5 + length;
    if (payload_offset > kPacketBytes) return PacketParse::kMalformed;
    if (length > 0) ts_packet_detail::parse_adaptation(packet.subspan(5, length), view);
  }
  if (view.has_payload) view.payload = packet.subspan(payload_offset);
  return PacketParse::kOk;
}

}  // namespace slipring::settop

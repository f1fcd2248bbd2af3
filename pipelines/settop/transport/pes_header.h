// The header of a PES packet: its length and its time stamps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "pipelines/settop/transport/big_endian.h"

namespace slipring::settop {

inline constexpr std::size_t kPesFixedHeaderBytes = 9;
inline constexpr std::size_t kPesMaxHeaderBytes = kPesFixedHeaderBytes + 255;

enum class PesHeaderParse : std::uint8_t {
  kOk,
  kMalformed,  // no start code, or fields that no encoder writes
  kForeign,    // padding, or one of the kinds without time stamps: not for a decoder
};

struct PesHeader {
  bool bounded = false;              // false: the payload ends where the next PES packet starts
  bool timestamp_error = false;      // stamps are announced and the header has no room for them
  std::uint32_t payload_count = 0;   // when bounded
  std::optional<std::uint64_t> pts;  // 90 kHz, 33 bits
  std::optional<std::uint64_t> dts;
};

// How long the whole header is, from its first nine bytes.
[[nodiscard]] inline std::size_t pes_header_count(
    std::span<const std::byte, kPesFixedHeaderBytes> start) {
  return kPesFixedHeaderBytes + load_u8(start, 8);
}

// Whether these nine bytes start a PES packet that carries an elementary stream.
[[nodiscard]] inline PesHeaderParse check_pes_start(
    std::span<const std::byte, kPesFixedHeaderBytes> start) {
  if (load_u16(start, 0) != 0 || load_u8(start, 2) != 1) return PesHeaderParse::kMalformed;
  switch (load_u8(start, 3)) {
    case 0xbc:  // program stream map
    case 0xbe:  // padding
    case 0xbf:  // private stream 2
    case 0xf0:  // ECM
    case 0xf1:  // EMM
    case 0xf2:  // DSM-CC
    case 0xf8:  // H.222.1 type E
    case 0xff:  // program stream directory
      return PesHeaderParse::kForeign;
    default:
      break;
  }
  if ((load_u8(start, 6) & 0xc0) != 0x80) return PesHeaderParse::kMalformed;
  const std::size_t packet_count = load_u16(start, 4);
  const std::size_t header_count = pes_header_count(start) - 6;
  if (packet_count != 0 && packet_count < header_count) return PesHeaderParse::kMalformed;
  return PesHeaderParse::kOk;
}

namespace pes_header_detail {

// Three groups of bits, each with a marker behind it.  The four bits before them differ between
// encoders and say nothing that the flags do not say.
inline std::optional<std::uint64_t> load_timestamp(std::span<const std::byte> bytes) {
  const std::uint64_t high = load_u8(bytes, 0);
  const std::uint64_t middle = load_u16(bytes, 1);
  const std::uint64_t low = load_u16(bytes, 3);
  if ((high & middle & low & 1) == 0) return std::nullopt;
  return (high >> 1 & 0x07) << 30 | middle >> 1 << 15 | low >> 1;
}

}  // namespace pes_header_detail

// Requires: `header` is whole (pes_header_count) and check_pes_start called it kOk.
[[nodiscard]] inline PesHeader parse_pes_header(std::span<const std::byte> header) {
  PesHeader parsed;
  const std::size_t packet_count = load_u16(header, 4);
  if (packet_count != 0) {
    parsed.bounded = true;
    parsed.payload_count = static_cast<std::uint32_t>(packet_count - (header.size() - 6));
  }
  const unsigned stamps = load_u8(header, 7) >> 6;
  const std::size_t room = header.size() - kPesFixedHeaderBytes;
  if (stamps == 1) parsed.timestamp_error = true;
  if (stamps < 2) return parsed;
  const auto fields = header.subspan(kPesFixedHeaderBytes);
  if (room >= 5) parsed.pts = pes_header_detail::load_timestamp(fields);
  if (stamps == 3 && room >= 10) parsed.dts = pes_header_detail::load_timestamp(fields.subspan(5));
  parsed.timestamp_error = !parsed.pts || (stamps == 3 && !parsed.dts);
  return parsed;
}

}  // namespace slipring::settop

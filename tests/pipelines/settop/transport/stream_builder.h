// Builds transport streams for tests, byte by byte: sound ones, and ones that are wrong on purpose.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "pipelines/settop/transport/crc32.h"
#include "pipelines/settop/transport/ts_packet.h"

namespace slipring::settop::testing {

using Bytes = std::vector<std::byte>;

inline void put(Bytes& out, std::uint64_t value, int byte_count = 1) {
  for (int i = byte_count - 1; i >= 0; --i) {
    out.push_back(static_cast<std::byte>(value >> (8 * i) & 0xff));
  }
}

inline void append(Bytes& out, std::span<const std::byte> more) {
  out.insert(out.end(), more.begin(), more.end());
}

// Bytes that differ from place to place and from seed to seed, and hold no start code.
inline Bytes pattern(std::size_t count, std::uint32_t seed) {
  Bytes out;
  std::uint32_t state = seed * 2654435761U + 12345U;
  for (std::size_t i = 0; i < count; ++i) {
    state = state * 1664525U + 1013904223U;
    out.push_back(static_cast<std::byte>(state >> 24 | 1U));
  }
  return out;
}

struct PacketSpec {
  std::uint16_t pid = 0;
  std::uint8_t count = 0;
  bool unit_start = false;
  bool transport_error = false;
  bool scrambled = false;
  bool discontinuity = false;
  bool random_access = false;
  std::optional<std::uint64_t> clock_27mhz{};
  bool has_payload = true;
};

inline std::size_t adaptation_minimum(const PacketSpec& spec) {
  if (spec.clock_27mhz) return 8;
  return spec.discontinuity || spec.random_access ? 2 : 0;
}

// One packet with as much of the payload as fits, which is taken off its front.  What is left over
// is filled by the adaptation field.
inline Bytes make_packet(const PacketSpec& spec, std::span<const std::byte>& payload,
                         std::size_t most = kPacketBytes) {
  const std::size_t room = kPacketBytes - 4 - adaptation_minimum(spec);
  const std::size_t count = spec.has_payload ? std::min({room, payload.size(), most}) : 0;
  const std::size_t adaptation = kPacketBytes - 4 - count;
  Bytes out;
  put(out, 0x47);
  put(out,
      static_cast<std::uint64_t>(spec.transport_error) << 15 |
          static_cast<std::uint64_t>(spec.unit_start) << 14 | spec.pid,
      2);
  put(out, (spec.scrambled ? 0x80U : 0U) | (adaptation > 0 ? 0x20U : 0U) |
               (spec.has_payload ? 0x10U : 0U) | spec.count);
  if (adaptation > 0) put(out, adaptation - 1);
  if (adaptation > 1) {
    put(out, (spec.discontinuity ? 0x80U : 0U) | (spec.random_access ? 0x40U : 0U) |
                 (spec.clock_27mhz ? 0x10U : 0U));
  }
  if (spec.clock_27mhz) {
    const std::uint64_t base = *spec.clock_27mhz / 300 & 0x1'ffff'ffff;
    put(out, base << 15 | 0x7e00 | *spec.clock_27mhz % 300, 6);
  }
  out.resize(kPacketBytes - count, std::byte{0xff});
  append(out, payload.first(count));
  payload = payload.subspan(count);
  return out;
}

inline Bytes with_crc(Bytes section) {
  const std::size_t length = section.size() - 3 + 4;
  section[1] = static_cast<std::byte>(0xb0 | length >> 8);
  section[2] = static_cast<std::byte>(length & 0xff);
  put(section, crc32_mpeg(section), 4);
  return section;
}

struct SectionSpec {
  std::uint8_t version = 0;
  std::uint8_t number = 0;
  std::uint8_t last_number = 0;
  bool current = true;
};

inline Bytes section_start(std::uint8_t table_id, std::uint16_t id, const SectionSpec& spec) {
  Bytes out;
  put(out, table_id);
  put(out, 0, 2);
  put(out, id, 2);
  put(out, 0xc0U | static_cast<unsigned>(spec.version) << 1 | (spec.current ? 1U : 0U));
  put(out, spec.number);
  put(out, spec.last_number);
  return out;
}

struct PatEntry {
  std::uint16_t number = 0;
  std::uint16_t pid = 0;
};

inline Bytes make_pat(const std::vector<PatEntry>& entries, const SectionSpec& spec = {}) {
  Bytes out = section_start(0x00, 1, spec);
  for (const PatEntry& entry : entries) {
    put(out, entry.number, 2);
    put(out, 0xe000U | entry.pid, 2);
  }
  return with_crc(std::move(out));
}

struct PmtEntry {
  std::uint8_t stream_type = 0;
  std::uint16_t pid = 0;
  Bytes descriptors{};
};

inline Bytes make_pmt(std::uint16_t number, std::uint16_t clock_pid,
                      const std::vector<PmtEntry>& entries, const SectionSpec& spec = {}) {
  Bytes out = section_start(0x02, number, spec);
  put(out, 0xe000U | clock_pid, 2);
  put(out, 0xf000U, 2);
  for (const PmtEntry& entry : entries) {
    put(out, entry.stream_type);
    put(out, 0xe000U | entry.pid, 2);
    put(out, 0xf000U | entry.descriptors.size(), 2);
    append(out, entry.descriptors);
  }
  return with_crc(std::move(out));
}

struct PesSpec {
  std::uint8_t stream_id = 0xe0;
  std::optional<std::uint64_t> pts{};
  std::optional<std::uint64_t> dts{};
  bool bounded = false;
  std::size_t stuffing_count = 0;
};

inline void put_timestamp(Bytes& out, unsigned prefix, std::uint64_t stamp) {
  put(out, prefix << 4 | (stamp >> 30 & 7) << 1 | 1);
  put(out, (stamp >> 15 & 0x7fff) << 1 | 1, 2);
  put(out, (stamp & 0x7fff) << 1 | 1, 2);
}

inline Bytes make_pes(const PesSpec& spec, std::span<const std::byte> payload) {
  const std::size_t stamps = (spec.pts ? 5U : 0U) + (spec.dts ? 5U : 0U);
  Bytes out;
  put(out, 0x000001, 3);
  put(out, spec.stream_id);
  put(out, spec.bounded ? 3 + stamps + spec.stuffing_count + payload.size() : 0, 2);
  put(out, 0x80);
  put(out, spec.dts ? 0xc0 : spec.pts ? 0x80 : 0);
  put(out, stamps + spec.stuffing_count);
  if (spec.pts) put_timestamp(out, spec.dts ? 3 : 2, *spec.pts);
  if (spec.dts) put_timestamp(out, 1, *spec.dts);
  out.resize(out.size() + spec.stuffing_count, std::byte{0xff});
  append(out, payload);
  return out;
}

// A stream in the making; keeps the continuity counters.
class StreamBuilder {
 public:
  [[nodiscard]] const Bytes& bytes() const { return bytes_; }
  [[nodiscard]] Bytes take() { return std::exchange(bytes_, {}); }
  [[nodiscard]] std::size_t packet_count() const { return bytes_.size() / kPacketBytes; }
  // The next packet's continuity count on that PID; tests change it to make a gap.
  std::uint8_t& count(std::uint16_t pid) { return counts_[pid]; }

  // A packet whose count the builder fills in; the counter advances if it has payload.
  void add(PacketSpec spec, std::span<const std::byte>& payload, std::size_t most = kPacketBytes) {
    spec.count = counts_[spec.pid] & 0x0f;
    if (spec.has_payload) counts_[spec.pid] = (spec.count + 1) & 0x0f;
    append(bytes_, make_packet(spec, payload, most));
  }

  void add_without_payload(PacketSpec spec) {
    spec.has_payload = false;
    spec.count = (counts_[spec.pid] + 15) & 0x0f;
    std::span<const std::byte> none;
    append(bytes_, make_packet(spec, none));
  }

  // `spec` is for the first packet.  Every packet takes at most `most` bytes of payload.
  void add_pes(PacketSpec spec, std::span<const std::byte> pes, std::size_t most = kPacketBytes) {
    spec.unit_start = true;
    add(spec, pes, most);
    while (!pes.empty()) add({.pid = spec.pid}, pes, most);
  }

  // Sections, one behind the other, from a fresh packet, the rest of the last one stuffed.
  void add_sections(std::uint16_t pid, const std::vector<Bytes>& sections) {
    Bytes all;
    for (const Bytes& section : sections) append(all, section);
    put_section_packets(pid, all);
  }

  void add_null(std::uint8_t count) {
    const Bytes filler(184, std::byte{0xff});
    std::span<const std::byte> payload = filler;
    append(bytes_, make_packet({.pid = kNullPid, .count = count}, payload));
  }

  void add_bytes(std::span<const std::byte> more) { append(bytes_, more); }

 private:
  void put_section_packets(std::uint16_t pid, const Bytes& all) {
    std::size_t offset = 0;
    bool start = true;
    while (offset < all.size()) {
      Bytes payload;
      if (start) put(payload, 0);
      const std::size_t taken = std::min(184 - payload.size(), all.size() - offset);
      append(payload, std::span(all).subspan(offset, taken));
      payload.resize(184, std::byte{0xff});
      std::span<const std::byte> view = payload;
      add({.pid = pid, .unit_start = start}, view);
      offset += taken;
      start = false;
    }
  }

  Bytes bytes_;
  std::array<std::uint8_t, kPidCount> counts_{};
};

}  // namespace slipring::settop::testing

#include "pipelines/settop/transport/packet_framer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <initializer_list>
#include <random>
#include <vector>

#include "tests/pipelines/settop/transport/stream_builder.h"

namespace slipring::settop {
namespace {

using testing::Bytes;

struct Framed {
  std::vector<Bytes> packets;
  std::vector<std::uint64_t> origins;
  DemuxCounters counters;
};

// Packets of one PID with their number in the payload; no byte but the first is a sync byte.
Bytes numbered_packet(std::size_t number) {
  Bytes data(184, std::byte{0x11});
  data[0] = static_cast<std::byte>(number & 0x3f);
  data[1] = static_cast<std::byte>(number >> 6 & 0x3f);
  std::span<const std::byte> payload = data;
  return testing::make_packet({.pid = 0x100, .count = static_cast<std::uint8_t>(number & 0xf)},
                              payload);
}

Bytes numbered_packets(std::size_t first, std::size_t count) {
  Bytes out;
  for (std::size_t i = 0; i < count; ++i) testing::append(out, numbered_packet(first + i));
  return out;
}

void push(PacketFramer& framer, Framed& framed, std::span<const std::byte> bytes,
          std::uint64_t origin_ns = 0) {
  framer.push(bytes, origin_ns, framed.counters, [&](const FramedPacket& packet) {
    framed.packets.emplace_back(packet.bytes.begin(), packet.bytes.end());
    framed.origins.push_back(packet.origin_ns);
  });
}

void flush(PacketFramer& framer, Framed& framed) {
  framer.flush(framed.counters, [&](const FramedPacket& packet) {
    framed.packets.emplace_back(packet.bytes.begin(), packet.bytes.end());
    framed.origins.push_back(packet.origin_ns);
  });
  const DemuxCounters& c = framed.counters;
  CHECK(c.bytes ==
        c.packets * kPacketBytes + c.trailer_bytes + c.skipped_bytes + c.truncated_bytes);
}

Framed frame(std::span<const std::byte> bytes) {
  PacketFramer framer;
  Framed framed;
  push(framer, framed, bytes);
  flush(framer, framed);
  return framed;
}

TEST_CASE("packet_framer: whole packets in one chunk come out where they lie") {
  const Bytes bytes = numbered_packets(0, 20);
  PacketFramer framer;
  DemuxCounters counters;
  std::size_t index = 0;
  framer.push(bytes, 0, counters, [&](const FramedPacket& packet) {
    CHECK(packet.bytes.data() == bytes.data() + index * kPacketBytes);
    ++index;
  });
  CHECK(index == 20);
  CHECK(counters.sync_acquisitions == 1);
  CHECK(counters.skipped_bytes == 0);
}

TEST_CASE("packet_framer: what comes out does not depend on how the bytes were cut") {
  Bytes bytes = testing::pattern(333, 7);
  testing::append(bytes, numbered_packets(0, 40));
  testing::append(bytes, testing::pattern(95, 8));  // an insertion
  testing::append(bytes, numbered_packets(40, 40));
  bytes[333 + 10 * kPacketBytes] = std::byte{0x46};  // one wrong sync byte
  bytes.resize(bytes.size() - 50);                   // a cut at the end
  const Framed whole = frame(bytes);
  CHECK(whole.packets.size() >= 76);
  CHECK(whole.counters.sync_byte_error_packets == 1);
  CHECK(whole.counters.sync_losses == 1);

  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    const std::size_t most = round == 0 ? 1 : 1 + random() % 1000;
    PacketFramer framer;
    Framed framed;
    std::size_t offset = 0;
    while (offset < bytes.size()) {
      const std::size_t count = std::min(bytes.size() - offset, 1 + random() % most);
      push(framer, framed, std::span(bytes).subspan(offset, count));
      offset += count;
    }
    flush(framer, framed);
    REQUIRE(framed.packets == whole.packets);
    CHECK(framed.counters.skipped_bytes == whole.counters.skipped_bytes);
    CHECK(framed.counters.truncated_bytes == whole.counters.truncated_bytes);
  }
}

TEST_CASE("packet_framer: one wrong sync byte costs one packet and not the lock") {
  Bytes bytes = numbered_packets(0, 30);
  bytes[12 * kPacketBytes] = std::byte{0};
  const Framed framed = frame(bytes);
  CHECK(framed.packets.size() == 29);
  CHECK(framed.counters.sync_byte_error_packets == 1);
  CHECK(framed.counters.sync_losses == 0);
  CHECK(framed.counters.skipped_bytes == 0);
}

TEST_CASE("packet_framer: a wrong sync byte in the very last packet costs that packet") {
  Bytes bytes = numbered_packets(0, 30);
  bytes[29 * kPacketBytes] = std::byte{0};
  const Framed framed = frame(bytes);
  CHECK(framed.packets.size() == 29);
  CHECK(framed.counters.sync_byte_error_packets == 1);
  CHECK(framed.counters.truncated_bytes == 0);
}

TEST_CASE("packet_framer: after a cut the next whole packet is found") {
  Bytes bytes = numbered_packets(0, 10);
  bytes.resize(bytes.size() - 100);  // packet 9 loses its end
  testing::append(bytes, numbered_packets(10, 20));
  const Framed framed = frame(bytes);
  // Packet 9's sync byte is right, so that it comes out with the start of packet 10 as its end.
  REQUIRE(framed.packets.size() == 29);
  CHECK(framed.packets[10] == numbered_packet(11));
  CHECK(framed.packets.back() == numbered_packet(29));
  CHECK(framed.counters.sync_losses == 1);
  CHECK(framed.counters.skipped_bytes == 88);
}

TEST_CASE("packet_framer: sync bytes that stand alone are not taken for packets") {
  Bytes bytes(5000, std::byte{0x47});
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i % 188 >= 3 || i / 188 % 4 == 3) bytes[i] = std::byte{0x12};
  }
  const std::size_t garbage_count = bytes.size();
  testing::append(bytes, numbered_packets(0, 10));
  const Framed framed = frame(bytes);
  CHECK(framed.packets.size() == 10);
  CHECK(framed.counters.skipped_bytes == garbage_count);
}

TEST_CASE("packet_framer: packets of 192 and of 204 bytes are recognised") {
  for (const std::size_t trailer_count : {std::size_t{4}, std::size_t{16}}) {
    Bytes bytes;
    for (std::size_t i = 0; i < 30; ++i) {
      testing::append(bytes, numbered_packet(i));
      bytes.resize(bytes.size() + trailer_count, std::byte{0x33});
    }
    const Framed framed = frame(bytes);
    CHECK(framed.packets.size() == 30);
    CHECK(framed.counters.trailer_bytes == 30 * trailer_count);
    CHECK(framed.counters.sync_losses == 0);
    CHECK(framed.counters.skipped_bytes == 0);
  }
}

TEST_CASE("packet_framer: a stream shorter than the sync check is handed on at its end") {
  const Framed framed = frame(numbered_packets(0, 3));
  CHECK(framed.packets.size() == 3);
  const Framed garbage = frame(testing::pattern(700, 3));
  CHECK(garbage.packets.empty());
  CHECK(garbage.counters.skipped_bytes == 700);
}

TEST_CASE("packet_framer: a piece of a packet at the end is counted as truncated") {
  Bytes bytes = numbered_packets(0, 10);
  bytes.resize(bytes.size() - 1);
  const Framed framed = frame(bytes);
  CHECK(framed.packets.size() == 9);
  CHECK(framed.counters.truncated_bytes == 187);
}

TEST_CASE("packet_framer: a packet carries the origin of the chunk in which it began") {
  const Bytes bytes = numbered_packets(0, 12);
  PacketFramer framer;
  Framed framed;
  push(framer, framed, std::span(bytes).first(8 * kPacketBytes + 10), 100);
  push(framer, framed, std::span(bytes).subspan(8 * kPacketBytes + 10, 20), 200);
  push(framer, framed, std::span(bytes).subspan(8 * kPacketBytes + 30), 300);
  flush(framer, framed);
  REQUIRE(framed.origins.size() == 12);
  CHECK(framed.origins[7] == 100);
  CHECK(framed.origins[8] == 100);
  CHECK(framed.origins[9] == 300);
}

TEST_CASE("packet_framer: a gap that may hide sixteen packets is announced") {
  for (const std::size_t garbage_count : {std::size_t{16 * 188 - 1}, std::size_t{16 * 188}}) {
    Bytes bytes = numbered_packets(0, 6);
    bytes.resize(bytes.size() + garbage_count, std::byte{0x12});
    testing::append(bytes, numbered_packets(6, 6));
    PacketFramer framer;
    DemuxCounters counters;
    std::vector<bool> gaps;
    const auto visit = [&](const FramedPacket& packet) { gaps.push_back(packet.after_long_gap); };
    framer.push(bytes, 0, counters, visit);
    REQUIRE(gaps.size() == 12);
    for (std::size_t i = 0; i < gaps.size(); ++i) {
      CHECK(gaps[i] == (i == 6 && garbage_count == 16 * 188));
    }
  }
}

}  // namespace
}  // namespace slipring::settop

#include "pipelines/settop/transport/ts_packet.h"

#include <doctest/doctest.h>

#include <initializer_list>

#include "tests/pipelines/settop/transport/stream_builder.h"

namespace slipring::settop {
namespace {

using testing::Bytes;

PacketParse parse(const Bytes& bytes, PacketView& view) {
  return parse_packet(std::span(bytes).first<kPacketBytes>(), view);
}

// A packet with an adaptation field of that length, its flags byte, and the given control bits.
Bytes with_adaptation(std::size_t length, std::uint8_t flags, std::uint8_t control) {
  Bytes out(kPacketBytes, std::byte{0xaa});
  out[0] = kSyncByte;
  out[1] = std::byte{0x01};
  out[2] = std::byte{0x00};
  out[3] = static_cast<std::byte>(control | 5);
  out[4] = static_cast<std::byte>(length);
  out[5] = static_cast<std::byte>(flags);
  return out;
}

TEST_CASE("ts_packet: header fields are where the standard has them") {
  const Bytes data = testing::pattern(184, 1);
  std::span<const std::byte> payload = data;
  const Bytes bytes = testing::make_packet(
      {.pid = 0x1abc, .count = 9, .unit_start = true, .scrambled = true}, payload);
  PacketView view;
  REQUIRE(parse(bytes, view) == PacketParse::kOk);
  CHECK(view.pid == 0x1abc);
  CHECK(view.continuity_count == 9);
  CHECK(view.unit_start);
  CHECK(view.scrambled);
  CHECK_FALSE(view.transport_error);
  CHECK(view.has_payload);
  CHECK(view.payload.data() == bytes.data() + 4);
  CHECK(view.payload.size() == 184);
}

TEST_CASE("ts_packet: a wrong sync byte is said so") {
  Bytes bytes(kPacketBytes, std::byte{0});
  PacketView view;
  CHECK(parse(bytes, view) == PacketParse::kBadSync);
}

TEST_CASE("ts_packet: neither payload nor adaptation field is malformed") {
  PacketView view;
  CHECK(parse(with_adaptation(0, 0, 0x00), view) == PacketParse::kMalformed);
}

TEST_CASE("ts_packet: every adaptation field length leaves the right payload or is malformed") {
  int sound_count = 0;
  for (std::size_t length = 0; length < 256; ++length) {
    PacketView view;
    const Bytes bytes = with_adaptation(length, 0x00, 0x30);
    const PacketParse parsed = parse(bytes, view);
    if (length > 183) {
      CHECK(parsed == PacketParse::kMalformed);
      CHECK(view.payload.empty());
      continue;
    }
    ++sound_count;
    CHECK(parsed == PacketParse::kOk);
    CHECK(view.payload.size() == 183 - length);
    if (!view.payload.empty()) {
      CHECK(view.payload.data() == bytes.data() + 5 + length);
      CHECK(&view.payload.back() == &bytes.back());
    }
  }
  CHECK(sound_count == 184);
}

TEST_CASE("ts_packet: flags are read only from an adaptation field that has them") {
  PacketView view;
  REQUIRE(parse(with_adaptation(0, 0xff, 0x30), view) == PacketParse::kOk);
  CHECK_FALSE(view.discontinuity);
  CHECK_FALSE(view.random_access);
  CHECK_FALSE(view.has_clock);
  REQUIRE(parse(with_adaptation(1, 0xc0, 0x30), view) == PacketParse::kOk);
  CHECK(view.discontinuity);
  CHECK(view.random_access);
}

TEST_CASE("ts_packet: a clock that does not fit its field is an error, not a clock") {
  PacketView view;
  for (std::size_t length = 1; length < 7; ++length) {
    REQUIRE(parse(with_adaptation(length, 0x10, 0x30), view) == PacketParse::kOk);
    CHECK(view.adaptation_error);
    CHECK_FALSE(view.has_clock);
    CHECK(view.payload.size() == 183 - length);
  }
  REQUIRE(parse(with_adaptation(7, 0x10, 0x30), view) == PacketParse::kOk);
  CHECK_FALSE(view.adaptation_error);
  CHECK(view.has_clock);
}

TEST_CASE("ts_packet: the clock's base and extension come out as they went in") {
  for (const std::uint64_t clock :
       {std::uint64_t{0}, std::uint64_t{299}, std::uint64_t{300}, std::uint64_t{0x123456789},
        (std::uint64_t{1} << 33) * 300 - 1}) {
    std::span<const std::byte> none;
    const Bytes bytes =
        testing::make_packet({.pid = 5, .clock_27mhz = clock, .has_payload = false}, none);
    PacketView view;
    REQUIRE(parse(bytes, view) == PacketParse::kOk);
    REQUIRE(view.has_clock);
    CHECK(view.clock_base == clock / 300);
    CHECK(view.clock_extension == clock % 300);
    CHECK_FALSE(view.has_payload);
  }
}

}  // namespace
}  // namespace slipring::settop

#include "pipelines/settop/transport/pes_header.h"

#include <doctest/doctest.h>

#include <initializer_list>

#include "tests/pipelines/settop/transport/stream_builder.h"

namespace slipring::settop {
namespace {

using testing::Bytes;
using testing::PesSpec;

std::span<const std::byte, kPesFixedHeaderBytes> fixed(const Bytes& pes) {
  return std::span(pes).first<kPesFixedHeaderBytes>();
}

PesHeader parse(const Bytes& pes) {
  REQUIRE(check_pes_start(fixed(pes)) == PesHeaderParse::kOk);
  const std::size_t count = pes_header_count(fixed(pes));
  REQUIRE(count <= pes.size());
  return parse_pes_header(std::span(pes).first(count));
}

TEST_CASE("pes_header: time stamps of every bit come out as they went in") {
  for (int bit = 0; bit < 33; ++bit) {
    const std::uint64_t stamp = std::uint64_t{1} << bit;
    const PesHeader both =
        parse(testing::make_pes({.pts = stamp, .dts = stamp ^ 0x1'ffff'ffff}, {}));
    CHECK(both.pts == stamp);
    CHECK(both.dts == (stamp ^ 0x1'ffff'ffff));
    const PesHeader one = parse(testing::make_pes({.pts = stamp}, {}));
    CHECK(one.pts == stamp);
    CHECK_FALSE(one.dts);
    CHECK_FALSE(one.timestamp_error);
  }
}

TEST_CASE("pes_header: the payload's length leaves out the header and its stuffing") {
  const Bytes payload = testing::pattern(1000, 1);
  for (const std::size_t stuffing : {0U, 1U, 32U, 245U}) {
    const PesHeader header =
        parse(testing::make_pes({.pts = 1, .bounded = true, .stuffing_count = stuffing}, payload));
    CHECK(header.bounded);
    CHECK(header.payload_count == 1000);
  }
  CHECK_FALSE(parse(testing::make_pes({.pts = 1}, payload)).bounded);
}

TEST_CASE("pes_header: stamps that the header has no room for are an error, not a stamp") {
  Bytes pes = testing::make_pes({.pts = 5, .dts = 4}, testing::pattern(20, 1));
  for (const int room : {0, 4, 5, 9}) {
    pes[8] = static_cast<std::byte>(room);
    const PesHeader header = parse(pes);
    CHECK(header.timestamp_error);
    CHECK(header.pts.has_value() == (room >= 5));
    CHECK_FALSE(header.dts);
  }
  pes[7] = std::byte{0x40};
  CHECK(parse(pes).timestamp_error);
}

TEST_CASE("pes_header: a stamp without its marker bits is an error") {
  for (const std::size_t place : {9U, 11U, 13U}) {
    Bytes pes = testing::make_pes({.pts = 5}, {});
    pes[place] &= std::byte{0xfe};
    const PesHeader header = parse(pes);
    CHECK(header.timestamp_error);
    CHECK_FALSE(header.pts);
  }
}

TEST_CASE("pes_header: what is no PES packet of a stream is told apart") {
  const Bytes sound = testing::make_pes({.bounded = true}, testing::pattern(20, 1));
  Bytes pes = sound;
  pes[2] = std::byte{2};
  CHECK(check_pes_start(fixed(pes)) == PesHeaderParse::kMalformed);
  pes = sound;
  pes[6] = std::byte{0x0f};
  CHECK(check_pes_start(fixed(pes)) == PesHeaderParse::kMalformed);
  pes = sound;
  pes[4] = std::byte{0};
  pes[5] = std::byte{2};  // shorter than its own header
  CHECK(check_pes_start(fixed(pes)) == PesHeaderParse::kMalformed);
  for (const int id : {0xbc, 0xbe, 0xbf, 0xf0, 0xf1, 0xf2, 0xf8, 0xff}) {
    pes = sound;
    pes[3] = static_cast<std::byte>(id);
    CHECK(check_pes_start(fixed(pes)) == PesHeaderParse::kForeign);
  }
  for (const int id : {0xbd, 0xc0, 0xdf, 0xe0, 0xef, 0xfd}) {
    pes = sound;
    pes[3] = static_cast<std::byte>(id);
    CHECK(check_pes_start(fixed(pes)) == PesHeaderParse::kOk);
  }
}

}  // namespace
}  // namespace slipring::settop

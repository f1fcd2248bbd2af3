#include "pipelines/settop/transport/psi_section.h"

#include <doctest/doctest.h>

#include <initializer_list>
#include <vector>

#include "tests/pipelines/settop/transport/stream_builder.h"

namespace slipring::settop {
namespace {

using testing::Bytes;

struct Collected {
  SectionAssembler assembler;
  DemuxCounters counters;
  std::vector<Bytes> sections;

  void push(const Bytes& payload, bool unit_start) {
    assembler.push(payload, unit_start, counters, [&](std::span<const std::byte> section) {
      sections.emplace_back(section.begin(), section.end());
    });
  }
};

// A section of that many bytes in all.
Bytes section_of(std::size_t count, std::uint8_t table_id = 0x02) {
  Bytes out = testing::section_start(table_id, 7, {});
  testing::append(out, testing::pattern(count - 12, static_cast<std::uint32_t>(count)));
  return testing::with_crc(out);
}

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes out;
  for (const Bytes& part : parts) testing::append(out, part);
  return out;
}

TEST_CASE("crc32: the standard's check value comes out") {
  Bytes digits;
  for (char digit = '1'; digit <= '9'; ++digit) digits.push_back(static_cast<std::byte>(digit));
  CHECK(crc32_mpeg(digits) == 0x0376'e6e7U);
}

TEST_CASE("psi_section: a section cut at any place comes out whole") {
  const Bytes section = section_of(300);
  for (std::size_t cut = 1; cut < section.size(); ++cut) {
    Collected collected;
    Bytes first(1, std::byte{0});
    testing::append(first, std::span(section).first(cut));
    collected.push(first, true);
    CHECK(collected.sections.empty());
    collected.push(Bytes(section.begin() + static_cast<std::ptrdiff_t>(cut), section.end()), false);
    REQUIRE(collected.sections.size() == 1);
    CHECK(collected.sections[0] == section);
    CHECK(collected.counters.section_errors == 0);
  }
}

TEST_CASE("psi_section: several sections share a packet, and stuffing ends it") {
  Collected collected;
  collected.push(joined({Bytes(1, std::byte{0}), section_of(20), section_of(31), section_of(40),
                         Bytes(30, std::byte{0xff})}),
                 true);
  REQUIRE(collected.sections.size() == 3);
  CHECK(collected.sections[1] == section_of(31));
}

TEST_CASE("psi_section: the end of one section stands before the pointer, the next behind it") {
  const Bytes one = section_of(200);
  const Bytes two = section_of(50);
  Collected collected;
  collected.push(joined({Bytes(1, std::byte{0}), Bytes(one.begin(), one.begin() + 183)}), true);
  collected.push(joined({Bytes(1, std::byte{17}), Bytes(one.begin() + 183, one.end()), two}), true);
  REQUIRE(collected.sections.size() == 2);
  CHECK(collected.sections[0] == one);
  CHECK(collected.sections[1] == two);
}

TEST_CASE("psi_section: a section that the next one cuts short is dropped and counted") {
  const Bytes one = section_of(200);
  Collected collected;
  collected.push(joined({Bytes(1, std::byte{0}), Bytes(one.begin(), one.begin() + 100)}), true);
  collected.push(joined({Bytes(1, std::byte{0}), section_of(50)}), true);
  REQUIRE(collected.sections.size() == 1);
  CHECK(collected.sections[0] == section_of(50));
  CHECK(collected.counters.section_errors == 1);
}

TEST_CASE("psi_section: a pointer beyond the packet is counted, and the next start works") {
  Collected collected;
  collected.push(Bytes(184, std::byte{184}), true);
  CHECK(collected.counters.section_errors == 1);
  collected.push(joined({Bytes(1, std::byte{0}), section_of(50)}), true);
  CHECK(collected.sections.size() == 1);
}

TEST_CASE("psi_section: nothing is taken before the first start or after a drop") {
  Collected collected;
  collected.push(section_of(50), false);
  CHECK(collected.sections.empty());
  const Bytes one = section_of(200);
  collected.push(joined({Bytes(1, std::byte{0}), Bytes(one.begin(), one.begin() + 100)}), true);
  collected.assembler.drop(collected.counters);
  collected.push(Bytes(one.begin() + 100, one.end()), false);
  CHECK(collected.sections.empty());
  CHECK(collected.counters.section_errors == 1);
}

TEST_CASE("psi_section: the longest table section passes, a longer private one is passed over") {
  for (const std::size_t count : {std::size_t{1024}, std::size_t{1025}, std::size_t{4098}}) {
    Collected collected;
    const Bytes section = section_of(count, 0x90);
    collected.push(joined({Bytes(1, std::byte{0}), section, section_of(60)}), true);
    CHECK(collected.sections.size() == (count == 1024 ? 2 : 1));
    CHECK(collected.sections.back() == section_of(60));
    CHECK(collected.counters.foreign_sections == (count == 1024 ? 0 : 1));
  }
}

TEST_CASE("psi_section: any single wrong bit is found by the CRC") {
  const Bytes section = section_of(40);
  SectionView view;
  REQUIRE(parse_section(section, kPmtTableId, view) == SectionParse::kOk);
  CHECK(view.id == 7);
  CHECK(view.body.size() == 28);
  for (std::size_t bit = 8; bit < section.size() * 8; ++bit) {
    Bytes wrong = section;
    wrong[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    CHECK(parse_section(wrong, kPmtTableId, view) == SectionParse::kBadCrc);
  }
}

TEST_CASE("psi_section: other tables, short ones and those not yet in force are told apart") {
  SectionView view;
  CHECK(parse_section(section_of(40, 0x42), kPmtTableId, view) == SectionParse::kForeign);
  CHECK(parse_section(testing::make_pat({{1, 0x100}}, {.current = false}), kPatTableId, view) ==
        SectionParse::kForeign);
  CHECK(parse_section(testing::make_pat({}, {.number = 2, .last_number = 1}), kPatTableId, view) ==
        SectionParse::kMalformed);
  CHECK(parse_section(Bytes(11, std::byte{2}), kPmtTableId, view) == SectionParse::kMalformed);
  CHECK(parse_section(Bytes{}, kPmtTableId, view) == SectionParse::kForeign);
}

}  // namespace
}  // namespace slipring::settop

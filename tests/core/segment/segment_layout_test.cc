#include "core/segment/segment_layout.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "tests/core/error/dies.h"

namespace slipring {
namespace {

SegmentHeader good_header() {
  SegmentHeader header{};
  header.magic = kSegmentMagic;
  header.version = kSegmentVersion;
  header.header_bytes = sizeof(SegmentHeader);
  header.total_bytes = 4096;
  header.lock_inode = 77;
  header.created_ns = 1'700'000'000'000'000'000;
  header.kind = SegmentKind::kRecordLink;
  header.page_bytes = 4096;
  header.parameter_count = 1;
  header.parameters[0] = 65536;
  add_region(header, Role::kWriter, 65536 + 256);
  add_region(header, Role::kReader, 256);
  const std::string_view name = "settop.ts";
  std::copy(name.begin(), name.end(), header.name);
  header.check = segment_check(header);
  return header;
}

// Validates a header whose maker computed the check over whatever it wrote.
Status validate_resealed(SegmentHeader header, std::uint64_t file_bytes) {
  header.check = segment_check(header);
  return validate_segment(header, file_bytes);
}

TEST_CASE("segment_layout: the magic spells the name in memory") {
  const std::uint64_t magic = kSegmentMagic;
  char bytes[8];
  std::memcpy(bytes, &magic, sizeof bytes);
  CHECK(std::string_view(bytes, 8) == "SLIPRING");
}

TEST_CASE("segment_layout: a good header is believed, for a file of its length only") {
  const SegmentHeader header = good_header();
  CHECK(header.total_bytes == 4096 + 69632 + 4096);
  CHECK(validate_segment(header, header.total_bytes).ok());
  for (const std::uint64_t size :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{479}, std::uint64_t{480},
        std::uint64_t{4096}, header.total_bytes - 1, header.total_bytes + 1,
        header.total_bytes - 4096, header.total_bytes + 4096, UINT64_MAX}) {
    CAPTURE(size);
    CHECK_FALSE(validate_segment(header, size).ok());
  }
}

TEST_CASE("segment_layout: every change of a single byte is refused") {
  const SegmentHeader header = good_header();
  int flip_count = 0;
  for (std::size_t at = 0; at < sizeof header; ++at) {
    for (unsigned flip = 1; flip < 256; ++flip) {
      std::array<unsigned char, sizeof header> bytes;
      std::memcpy(bytes.data(), &header, sizeof header);
      bytes[at] = static_cast<unsigned char>(bytes[at] ^ flip);
      SegmentHeader changed;
      std::memcpy(&changed, bytes.data(), sizeof changed);
      CAPTURE(at);
      CAPTURE(flip);
      REQUIRE_FALSE(validate_segment(changed, header.total_bytes).ok());
      ++flip_count;
    }
  }
  CHECK(flip_count == 480 * 255);
}

TEST_CASE("segment_layout: another magic, version or header size is another version") {
  SegmentHeader header = good_header();
  header.magic ^= 1;
  CHECK(validate_resealed(header, header.total_bytes).error().code == ErrorCode::kVersion);
  header = good_header();
  header.version = kSegmentVersion + 1;
  const Status newer = validate_resealed(header, header.total_bytes);
  CHECK(newer.error().code == ErrorCode::kVersion);
  CHECK(newer.error().found == kSegmentVersion + 1);
  CHECK(newer.error().wanted == kSegmentVersion);
  header = good_header();
  header.header_bytes += 8;
  CHECK(validate_resealed(header, header.total_bytes).error().code == ErrorCode::kVersion);
}

TEST_CASE("segment_layout: a well-sealed lie about counts and pages is refused") {
  const std::uint64_t file_bytes = good_header().total_bytes;
  const auto refused = [&](auto&& change) {
    SegmentHeader header = good_header();
    change(header);
    const Status status = validate_resealed(header, file_bytes);
    return !status.ok() && status.error().code == ErrorCode::kCorruptPeer;
  };
  for (const std::uint32_t page : {0U, 1U, 2048U, 4095U, 4097U, 12288U, 8192U, UINT32_MAX}) {
    CAPTURE(page);
    CHECK(refused([&](SegmentHeader& header) { header.page_bytes = page; }));
  }
  for (const std::uint32_t count : {9U, 0x8000'0000U, UINT32_MAX}) {
    CHECK(refused([&](SegmentHeader& header) { header.region_count = count; }));
  }
  for (const std::uint32_t count : {17U, UINT32_MAX}) {
    CHECK(refused([&](SegmentHeader& header) { header.parameter_count = count; }));
  }
  CHECK(refused([](SegmentHeader& header) { header.total_bytes += 4096; }));
  CHECK(refused([](SegmentHeader& header) { header.name[kSegmentNameBytes - 1] = 'x'; }));
}

TEST_CASE("segment_layout: a well-sealed lie about a region is refused") {
  const std::uint64_t file_bytes = good_header().total_bytes;
  for (std::uint32_t at = 0; at < 2; ++at) {
    const std::uint64_t right_offset = good_header().regions[at].offset_bytes;
    const std::uint64_t right_size = good_header().regions[at].size_bytes;
    for (const std::uint64_t offset :
         {std::uint64_t{0}, std::uint64_t{1}, right_offset - 4096, right_offset - 8,
          right_offset + 1, right_offset + 4096, file_bytes, file_bytes + 4096,
          std::uint64_t{1} << 63, UINT64_MAX - 4095, UINT64_MAX}) {
      CAPTURE(at);
      CAPTURE(offset);
      SegmentHeader header = good_header();
      header.regions[at].offset_bytes = offset;
      // A gap is no lie as long as nothing overlaps and all lies within the file.
      REQUIRE_FALSE(validate_resealed(header, file_bytes).ok());
    }
    for (const std::uint64_t size :
         {std::uint64_t{0}, std::uint64_t{1}, right_size - 1, right_size + 4096, file_bytes,
          std::uint64_t{1} << 63, UINT64_MAX - 4095, UINT64_MAX}) {
      CAPTURE(at);
      CAPTURE(size);
      SegmentHeader header = good_header();
      header.regions[at].size_bytes = size;
      REQUIRE_FALSE(validate_resealed(header, file_bytes).ok());
    }
    for (const std::uint32_t role : {4U, 5U, UINT32_MAX}) {
      SegmentHeader header = good_header();
      header.regions[at].role = static_cast<Role>(role);
      REQUIRE_FALSE(validate_resealed(header, file_bytes).ok());
    }
  }
  SegmentHeader swapped = good_header();
  std::swap(swapped.regions[0], swapped.regions[1]);
  CHECK_FALSE(validate_resealed(swapped, file_bytes).ok());
}

TEST_CASE("segment_layout: regions are laid out behind each other in whole pages") {
  SegmentHeader header = good_header();
  CHECK(header.regions[0].offset_bytes == 4096);
  CHECK(header.regions[0].size_bytes == 69632);
  CHECK(header.regions[1].offset_bytes == 4096 + 69632);
  CHECK(header.regions[1].size_bytes == 4096);
  while (header.region_count < kMaxRegions) add_region(header, Role::kWriter, 1);
  CHECK(validate_resealed(header, header.total_bytes).ok());
  CHECK(dies([&] { add_region(header, Role::kWriter, 1); }));
}

}  // namespace
}  // namespace slipring

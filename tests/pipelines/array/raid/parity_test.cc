#include "pipelines/array/raid/parity.h"

#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <set>

#include "pipelines/array/raid/block_checksum.h"
#include "pipelines/array/raid/block_memory.h"
#include "pipelines/array/raid/raid_layout.h"

namespace slipring::array {
namespace {

void fill_at_random(std::byte* block, std::mt19937_64& random) {
  for (std::size_t i = 0; i < kBlockBytes; i += 8) {
    const std::uint64_t word = random();
    std::memcpy(block + i, &word, sizeof word);
  }
}

}  // namespace

TEST_CASE("parity: every loss that a code bears is computed from what is left") {
  std::mt19937_64 random(5);
  for (std::uint32_t parities = 1; parities <= 2; ++parities) {
    for (std::uint32_t data_count = 2; data_count <= 8; ++data_count) {
      const ParityCode code(data_count, parities);
      const std::uint32_t width = data_count + parities;
      BlockMemory memory(2 * width * kBlockBytes);
      CodeWord word{};
      for (std::uint32_t i = 0; i < width; ++i) word[i] = memory.block(i);
      for (std::uint32_t i = 0; i < data_count; ++i) fill_at_random(word[i], random);
      code.encode(word);
      for (std::uint32_t one = 0; one < width; ++one) {
        for (std::uint32_t other = one; other < width; ++other) {
          const std::uint32_t lost = 1U << one | 1U << other;
          if (other != one && parities == 1) break;
          CodeWord damaged = word;
          damaged[one] = memory.block(width + one);
          damaged[other] = memory.block(width + other);
          REQUIRE(code.reconstruct(damaged, ((1U << width) - 1) & ~lost, lost).ok());
          CHECK(std::memcmp(damaged[one], word[one], kBlockBytes) == 0);
          CHECK(std::memcmp(damaged[other], word[other], kBlockBytes) == 0);
        }
      }
      CHECK_FALSE(code.reconstruct(word, (1U << (data_count - 1)) - 1, 1U << data_count).ok());
    }
  }
}

TEST_CASE("parity: a block that changes changes the parities as computing them anew does") {
  std::mt19937_64 random(6);
  const ParityCode code(5, 2);
  BlockMemory memory(8 * kBlockBytes);
  CodeWord word{};
  for (std::uint32_t i = 0; i < 7; ++i) word[i] = memory.block(i);
  for (std::uint32_t i = 0; i < 5; ++i) fill_at_random(word[i], random);
  code.encode(word);
  for (std::uint32_t changed = 0; changed < 5; ++changed) {
    std::byte* after = memory.block(7);
    fill_at_random(after, random);
    code.update(word[5], 0, changed, word[changed], after);
    code.update(word[6], 1, changed, word[changed], after);
    std::memcpy(word[changed], after, kBlockBytes);
    BlockMemory anew(2 * kBlockBytes);
    CodeWord again = word;
    again[5] = anew.block(0);
    again[6] = anew.block(1);
    code.encode(again);
    CHECK(std::memcmp(again[5], word[5], kBlockBytes) == 0);
    CHECK(std::memcmp(again[6], word[6], kBlockBytes) == 0);
  }
}

TEST_CASE("raid_layout: blocks and places are one to one, and parity goes round") {
  for (const RaidLevel level :
       {RaidLevel::kStriped, RaidLevel::kSingleParity, RaidLevel::kDoubleParity}) {
    const RaidLayout layout({level, 5, 4, 60});
    std::set<std::pair<std::uint64_t, std::uint32_t>> seen;
    for (std::uint64_t block = 0; block < layout.block_count(); ++block) {
      const BlockPlace place = layout.locate(block);
      CHECK(seen.emplace(place.row, place.member).second);
      CHECK(layout.block_at(place.row, place.data_index) == block);
      CHECK(layout.position_of(place.row, place.member) == place.data_index);
    }
    std::set<std::uint32_t> parity_members;
    for (std::uint64_t row = 0; row < 60; ++row) {
      for (std::uint32_t i = layout.data_count(); i < 5; ++i) {
        parity_members.insert(layout.member_at(row, i));
      }
    }
    CHECK(parity_members.size() == (level == RaidLevel::kStriped ? 0 : 5));
  }
  // As md(4) has it: of stripe 0, P is the last member and data begin on the first.
  const RaidLayout md({RaidLevel::kSingleParity, 4, 1, 8});
  CHECK(md.member_at(0, 3) == 3);
  CHECK(md.member_at(0, 0) == 0);
  CHECK(md.member_at(1, 3) == 2);
  CHECK(md.member_at(1, 0) == 3);
}

TEST_CASE("block_checksum: CRC-32C as published, and 0 of zeros") {
  static constexpr char kDigits[] = "123456789";
  CHECK(crc32c({reinterpret_cast<const std::byte*>(kDigits), 9}) == 0xe306'9283);
  BlockMemory memory(kBlockBytes);
  CHECK(block_checksum(memory.block(0)) == 0);
  memory.block(0)[77] = std::byte{1};
  CHECK(block_checksum(memory.block(0)) != 0);
}

}  // namespace slipring::array

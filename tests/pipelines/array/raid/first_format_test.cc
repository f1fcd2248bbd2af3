// Disks of format 1, which knew no rows of zeros: they are taken as they are, whatever is in their
// log, and are of format 2 from then on.

#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <vector>

#include "pipelines/array/raid/block_checksum.h"
#include "pipelines/array/raid/disk_format.h"
#include "tests/pipelines/array/raid/array_bench.h"

namespace slipring::array::test {
namespace {

// Every superblock that is there, as RAID.md has it: a version at 8, the checksum at 12.
void put_version(SimulatedDisks& disks, std::uint32_t member, std::uint32_t version) {
  std::vector<std::byte> bytes = disks.content(member);
  for (std::uint64_t slot = 0; slot < kSuperblockSlots; ++slot) {
    const std::span<std::byte> block =
        std::span(bytes).subspan(slot * kSuperblockBytes, kSuperblockBytes);
    std::uint64_t magic = 0;
    std::memcpy(&magic, block.data(), sizeof magic);
    if (magic != kSuperblockMagic) continue;
    std::uint32_t check = 0;
    std::memcpy(block.data() + 8, &version, sizeof version);
    std::memcpy(block.data() + 12, &check, sizeof check);
    check = crc32c(block);
    std::memcpy(block.data() + 12, &check, sizeof check);
  }
  disks.put_back(member, bytes);
}

std::uint32_t version_of(const SimulatedDisks& disks, std::uint32_t member, std::uint64_t slot) {
  std::uint32_t version = 0;
  const std::vector<std::byte> bytes = disks.content(member);
  std::memcpy(&version, bytes.data() + slot * kSuperblockBytes + 8, sizeof version);
  return version;
}

// With a log that an assembly has to repeat.
void make_first_format(Bench& bench) {
  bench.write_everything();
  std::mt19937_64 random(bench.disks.member_count());
  for (int i = 0; i < 20; ++i) {
    REQUIRE(bench.write(random() % (bench.versions.size() - 3), 3).ok());
  }
  for (std::uint32_t member = 0; member < bench.disks.member_count(); ++member) {
    put_version(bench.disks, member, 1);
    REQUIRE(version_of(bench.disks, member, 0) == 1);
  }
}

void zero(Bench& bench, std::uint64_t first, std::uint64_t count) {
  REQUIRE(bench.array->zero(first, count).ok());
  std::fill_n(bench.versions.begin() + static_cast<std::ptrdiff_t>(first), count, 0);
}

TEST_CASE("format 1: read, written, trimmed and rebuilt, and of format 2 from then on") {
  for (const auto& [level, members] : kArrays) {
    Bench bench(level, members);
    make_first_format(bench);
    bench.assemble();
    CHECK_FALSE(bench.report.was_created);
    CHECK(bench.array->counters().replayed_groups > 0);
    CHECK(bench.wrong() == 0);
    // The one in force is one of the two.
    for (std::uint32_t member = 0; member < members; ++member) {
      CHECK(std::max(version_of(bench.disks, member, 0), version_of(bench.disks, member, 1)) == 2);
    }
    const std::uint64_t stripe = bench.array->layout().stripe_blocks();
    zero(bench, stripe - 1, 2 * stripe + 2);
    REQUIRE(bench.write(3, 20).ok());
    CHECK(bench.wrong() == 0);
    // What the log says now no program of format 1 would understand.
    bench.assemble();
    CHECK(bench.array->counters().replayed_groups > 0);
    CHECK(bench.wrong() == 0);
    REQUIRE(bench.array->fail(1).ok());
    bench.disks.replace(1);
    REQUIRE(bench.array->replace(1).ok());
    for (bool more = true; more;) {
      Result<bool> rebuilt = bench.array->rebuild(7);
      REQUIRE(rebuilt.ok());
      more = *rebuilt;
    }
    bench.disks.set_present(0, false);
    CHECK(bench.wrong() == 0);
    REQUIRE(bench.array->scrub(0, kRows).ok());
    CHECK(bench.array->counters().lost_blocks == 0);
  }
}

TEST_CASE("format 1: a member missing when it is taken, and members of both formats") {
  for (const auto& [level, members] : kArrays) {
    Bench bench(level, members);
    make_first_format(bench);
    bench.disks.set_present(2, false);
    bench.assemble();
    CHECK(bench.wrong() == 0);
    zero(bench, 0, bench.array->layout().stripe_blocks());
    // It comes back as it was: of format 1, and stale.
    bench.disks.set_present(2, true);
    CHECK(version_of(bench.disks, 2, 0) == 1);
    bench.assemble();
    CHECK(bench.report.remarks[2] != nullptr);
    CHECK(bench.wrong() == 0);
  }
  // Cut while the first superblocks of format 2 were on their way: some have them, some do not.
  Bench bench(RaidLevel::kSingleParity, 5);
  make_first_format(bench);
  for (const std::uint32_t member : {1U, 3U}) put_version(bench.disks, member, 2);
  bench.assemble();
  for (const char* remark : bench.report.remarks) CHECK(remark == nullptr);
  CHECK(bench.wrong() == 0);
}

TEST_CASE("format: what is of no format that is known is no member") {
  for (const std::uint32_t version : {0U, 3U}) {
    Bench bench(RaidLevel::kSingleParity, 4);
    bench.write_everything();
    put_version(bench.disks, 2, version);
    bench.assemble();
    REQUIRE(bench.report.remarks[2] != nullptr);
    CHECK(std::string(bench.report.remarks[2]) == "holds something else");
    CHECK(bench.wrong() == 0);
  }
}

}  // namespace
}  // namespace slipring::array::test

#include "pipelines/array/raid/raid_array.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <random>
#include <set>

#include "tests/pipelines/array/raid/array_bench.h"

namespace slipring::array::test {

TEST_CASE("raid_array: what was written is read, in any pieces and after assembling again") {
  for (const auto& [level, members] : kArrays) {
    Bench bench(level, members);
    CHECK(bench.report.was_created);
    CHECK(bench.wrong() == 0);
    std::mt19937_64 random(members);
    for (int i = 0; i < 200; ++i) {
      const std::uint64_t first = random() % bench.versions.size();
      const std::uint64_t count =
          1 + random() % std::min<std::uint64_t>(40, bench.versions.size() - first);
      REQUIRE(bench.write(first, count).ok());
    }
    CHECK(bench.wrong() == 0);
    CHECK(bench.array->counters().full_rows > 0);
    CHECK(bench.array->counters().modified_rows + bench.array->counters().completed_rows > 0);
    bench.assemble();
    CHECK_FALSE(bench.report.was_created);
    CHECK(bench.wrong() == 0);
    REQUIRE(bench.array->scrub(0, kRows).ok());
    CHECK(bench.array->counters().inconsistent_rows == 0);
    CHECK(bench.array->counters().repaired_blocks == 0);
  }
}

TEST_CASE("raid_array: zeroes are zeros, holes where whole stripes are, and nothing else is lost") {
  for (const auto& [level, members] : kArrays) {
    Bench bench(level, members);
    bench.write_everything();
    std::mt19937_64 random(members);
    const std::uint64_t stripe = bench.array->layout().stripe_blocks();
    for (int i = 0; i < 40; ++i) {
      const std::uint64_t first = random() % bench.versions.size();
      const std::uint64_t count =
          1 + random() % std::min(4 * stripe, bench.versions.size() - first);
      REQUIRE(bench.array->zero(first, count).ok());
      std::fill_n(bench.versions.begin() + static_cast<std::ptrdiff_t>(first), count, 0);
      CHECK(bench.wrong() == 0);
      if (i % 3 == 0) REQUIRE(bench.write(random() % bench.versions.size(), 1).ok());
    }
    CHECK(bench.array->counters().zeroed_rows > 0);
    const std::vector<std::uint64_t> before = bench.versions;
    std::uint64_t at = 0;
    while (at < before.size()) {
      for (const BlockRun& run : bench.array->extents(at, before.size() - at)) {
        for (std::uint64_t i = 0; i < run.count; ++i, ++at) {
          CHECK(run.is_hole == (before[at] == 0));
        }
      }
    }
    REQUIRE(bench.array->scrub(0, kRows).ok());
    CHECK(bench.array->counters().inconsistent_rows == 0);
    CHECK(bench.array->counters().repaired_blocks == 0);
    // From the log alone, and from what the others hold.
    bench.assemble();
    CHECK(bench.wrong() == 0);
    bench.disks.set_present(1, false);
    CHECK(bench.wrong() == 0);
    REQUIRE(bench.array->zero(0, 2 * stripe + 1).ok());
    std::fill_n(bench.versions.begin(), 2 * stripe + 1, 0);
    CHECK(bench.wrong() == 0);
    bench.disks.set_present(1, true);
    bench.disks.replace(1);
    REQUIRE(bench.array->replace(1).ok());
    while (bench.array->is_rebuilding()) REQUIRE(bench.array->rebuild(16).ok());
    CHECK(bench.wrong() == 0);
    CHECK(bench.array->counters().lost_blocks == 0);
  }
}

TEST_CASE("raid_array: a hole that a disk made of data is none") {
  Bench bench(RaidLevel::kSingleParity, 3);
  bench.write_everything();
  std::uint32_t member = 0;
  const std::uint64_t offset = bench.place_of(5, member);
  DiskCommand lost;
  lost.operation = DiskOperation::kZero;
  lost.member = member;
  lost.offset_bytes = offset;
  lost.length_bytes = kBlockBytes;
  bench.disks.run({&lost, 1});
  const std::vector<BlockRun> runs = bench.array->extents(5, 1);
  REQUIRE(runs.size() == 1);
  CHECK_FALSE(runs[0].is_hole);
  CHECK(bench.wrong() == 0);
}

TEST_CASE("raid_array: every member, or every two with RAID-6, can go") {
  for (const auto& [level, members] : kArrays) {
    for (std::uint32_t one = 0; one < members; ++one) {
      for (std::uint32_t other = one; other < members; ++other) {
        if (other != one && level != RaidLevel::kDoubleParity) break;
        Bench bench(level, members);
        bench.write_everything();
        bench.disks.set_present(one, false);
        bench.disks.set_present(other, false);
        CHECK(bench.wrong() == 0);
        bench.write_everything();
        REQUIRE(bench.write(3, 1).ok());
        CHECK(bench.wrong() == 0);
        CHECK(bench.array->state_of(one) == MemberState::kMissing);
        bench.assemble();
        CHECK(bench.wrong() == 0);
      }
    }
  }
}

TEST_CASE("raid_array: one member more than there are parities, and nothing is answered wrongly") {
  Bench bench(RaidLevel::kSingleParity, 4);
  bench.write_everything();
  bench.disks.set_present(0, false);
  bench.disks.set_present(2, false);
  CHECK_FALSE(bench.write(0, 8).ok());
  CHECK(bench.array->is_broken());
  CHECK_FALSE(bench.array->flush().ok());
  Result<RaidArray> again = RaidArray::assemble(bench.disks, bench.options, bench.report);
  REQUIRE_FALSE(again.ok());
  CHECK(again.error().code == ErrorCode::kDamagedData);
  // They come back: nobody was written off, since the array could not do without.
  bench.disks.set_present(0, true);
  bench.disks.set_present(2, true);
  bench.assemble();
  // Those of the write that failed may be either.
  CHECK(bench.wrong() <= 8);
}

TEST_CASE("raid_array: a failed member is replaced and rebuilt while others write") {
  for (const auto& [level, members] : kArrays) {
    Bench bench(level, members);
    bench.write_everything();
    REQUIRE(bench.array->fail(1).ok());
    bench.write_everything();
    CHECK_FALSE(bench.array->replace(0).ok());
    bench.disks.replace(1);
    REQUIRE(bench.array->replace(1).ok());
    std::mt19937_64 random(1);
    bool more = true;
    std::uint64_t seen_row = 0;
    while (more) {
      Result<bool> rebuilt = bench.array->rebuild(5);
      REQUIRE(rebuilt.ok());
      more = *rebuilt;
      if (more) CHECK(bench.array->rebuild_row() == seen_row + 5);
      seen_row = bench.array->rebuild_row();
      REQUIRE(bench.write(random() % (bench.versions.size() - 4), 4).ok());
      CHECK(bench.wrong() == 0);
      if (!more || random() % 4 != 0) continue;
      // After a new assembly a rebuild goes on from where it was written down.
      REQUIRE(bench.array->checkpoint().ok());
      bench.assemble();
      CHECK(bench.array->rebuild_row() == seen_row);
    }
    CHECK(bench.array->state_of(1) == MemberState::kActive);
    REQUIRE(bench.array->scrub(0, kRows).ok());
    CHECK(bench.array->counters().repaired_blocks == 0);
    CHECK(bench.array->counters().inconsistent_rows == 0);
    // The rebuilt one holds: another may go now.
    bench.disks.set_present(0, false);
    CHECK(bench.wrong() == 0);
  }
}

TEST_CASE("raid_array: an unreadable sector is computed and written again") {
  Bench bench(RaidLevel::kSingleParity, 4);
  bench.write_everything();
  std::uint32_t member = 0;
  const std::uint64_t offset = bench.place_of(17, member);
  bench.disks.set_bad_sector(member, offset + 1024);
  CHECK(bench.wrong() == 0);
  CHECK(bench.array->counters().unreadable[member] == 1);
  CHECK(bench.array->counters().repaired_blocks == 1);
  CHECK(bench.array->state_of(member) == MemberState::kActive);
  CHECK(bench.wrong() == 0);
  CHECK(bench.array->counters().unreadable[member] == 1);
}

TEST_CASE("raid_array: a flipped bit is found on whichever member it is, and mended") {
  for (const auto& [level, members] : kArrays) {
    Bench bench(level, members);
    bench.write_everything();
    for (std::uint32_t member = 0; member < members; ++member) {
      const std::uint64_t row = 3 + 7 * member;
      bench.disks.flip_bit(member, bench.array->areas().data_offset + row * kBlockBytes + 99);
      CHECK(bench.wrong() == 0);
      REQUIRE(bench.array->scrub(0, kRows).ok());
      CHECK(bench.array->counters().lies[member] == 1);
    }
    CHECK(bench.array->counters().repaired_blocks == members);
    REQUIRE(bench.array->scrub(0, kRows).ok());
    CHECK(bench.array->counters().repaired_blocks == members);
  }
}

TEST_CASE("raid_array: flipped bits beside a block that is written do not get into its parity") {
  for (const auto& [level, members] : kArrays) {
    Bench bench(level, members);
    bench.write_everything();
    for (std::uint32_t member = 0; member < members; ++member) {
      bench.disks.flip_bit(member, bench.array->areas().data_offset + member * kBlockBytes);
    }
    for (std::uint64_t block = 0; block < 12; ++block) REQUIRE(bench.write(block, 1).ok());
    CHECK(bench.wrong() == 0);
    bench.disks.set_present(0, false);
    CHECK(bench.wrong() == 0);
  }
}

TEST_CASE("raid_array: a disk that loses what it is given is found out") {
  Bench bench(RaidLevel::kSingleParity, 4);
  bench.write_everything();
  REQUIRE(bench.array->checkpoint().ok());
  // It loses its block, its log and its checksums alike, and says that all is well.
  bench.disks.set_losing_writes(2, true);
  bench.write_everything();
  REQUIRE(bench.array->checkpoint().ok());
  bench.disks.set_losing_writes(2, false);
  SUBCASE("at once") {}
  SUBCASE("after assembling again") {
    bench.assemble();
  }
  CHECK(bench.wrong() == 0);
  CHECK(bench.array->counters().lies[2] > 0);
  CHECK(bench.array->counters().lies[1] == 0);
}

TEST_CASE("raid_array: a disk that fails a write, is full or cannot sync is used no more") {
  for (const int error : {EIO, ENOSPC, 0}) {
    Bench bench(RaidLevel::kSingleParity, 4);
    bench.write_everything();
    if (error != 0) {
      bench.disks.set_write_error(3, error);
    } else {
      bench.disks.set_failing_syncs(3);
      REQUIRE(bench.array->checkpoint().ok());
    }
    bench.write_everything();
    CHECK(bench.array->state_of(3) == MemberState::kMissing);
    CHECK(bench.wrong() == 0);
    // A sync that failed once is never tried again and believed.
    bench.assemble();
    CHECK(bench.array->state_of(3) == MemberState::kMissing);
    CHECK(std::string(bench.report.remarks[3]) == "was away while others were written");
    CHECK(bench.wrong() == 0);
  }
}

TEST_CASE("raid_array: a member that was away is not believed when it comes back") {
  Bench bench(RaidLevel::kDoubleParity, 5);
  bench.write_everything();
  const std::vector<std::byte> old = bench.disks.content(2);
  bench.disks.set_present(2, false);
  bench.assemble();
  bench.write_everything();
  bench.disks.set_present(2, true);
  bench.disks.put_back(2, old);
  bench.assemble();
  CHECK(bench.array->state_of(2) == MemberState::kMissing);
  CHECK(bench.wrong() == 0);
}

// A cut lets a new epoch reach two members, which then are away while the others go on.
TEST_CASE("raid_array: of two epochs that began from the same one the later is taken") {
  for (const PlantedFault planted : {PlantedFault::kNone, PlantedFault::kNoProposal}) {
    Bench bench(RaidLevel::kDoubleParity, 5);
    bench.options.planted = planted;
    bench.assemble();
    bench.write_everything();
    REQUIRE(bench.array->checkpoint().ok());
    SimulatedDisks cut(5, kDiskBytes, 4096);
    bool is_cut = false;
    bench.disks.before_run = [&](std::span<const DiskCommand> commands) {
      if (is_cut || commands.empty() || commands[0].operation != DiskOperation::kWriteDurable ||
          commands[0].offset_bytes >= 2 * kSuperblockBytes) {
        return;
      }
      is_cut = true;
      const std::vector<UnstableSector> sectors = bench.disks.unstable(commands);
      std::vector<std::uint32_t> choices;
      for (const UnstableSector& sector : sectors) {
        choices.push_back(sector.member == 0 || sector.member == 2
                              ? static_cast<std::uint32_t>(sector.versions.size())
                              : 0);
      }
      cut.become(bench.disks, sectors, choices);
    };
    bench.assemble();
    bench.disks.before_run = nullptr;
    REQUIRE(is_cut);
    for (std::uint32_t member = 0; member < 5; ++member) {
      bench.disks.put_back(member, cut.content(member));
    }
    bench.disks.set_present(0, false);
    bench.disks.set_present(2, false);
    bench.assemble();
    REQUIRE(bench.write(0, 12).ok());
    bench.disks.set_present(0, true);
    bench.disks.set_present(2, true);
    bench.assemble();
    const bool is_right = bench.wrong() == 0 && bench.array->state_of(0) == MemberState::kMissing;
    CHECK(is_right == (planted == PlantedFault::kNone));
  }
}

TEST_CASE("raid_array: RAID-0 keeps blocks, and stops with its first lost member") {
  Bench bench(RaidLevel::kStriped, 2);
  bench.write_everything();
  REQUIRE(bench.array->flush().ok());
  CHECK(bench.wrong() == 0);
  bench.assemble();
  CHECK(bench.wrong() == 0);
  bench.disks.set_failing_syncs(1);
  CHECK_FALSE(bench.array->flush().ok());
  CHECK(bench.array->is_broken());
}

TEST_CASE("raid_array: what is no array is refused with what was found") {
  Bench bench(RaidLevel::kSingleParity, 4);
  RaidOptions other = bench.options;
  other.shape.level = RaidLevel::kDoubleParity;
  Result<RaidArray> refused = RaidArray::assemble(bench.disks, other, bench.report);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::kInvalidArgument);
  CHECK(refused.error().found == 5);

  SimulatedDisks foreign(3, kDiskBytes, 512);
  foreign.flip_bit(1, 5000);
  const Result<RaidArray> unknown =
      RaidArray::assemble(foreign, shape(RaidLevel::kSingleParity, 3), bench.report);
  REQUIRE_FALSE(unknown.ok());
  CHECK(unknown.error().code == ErrorCode::kNotFound);
}

TEST_CASE("raid_array: any bytes in place of superblock, log and checksums are borne") {
  std::mt19937_64 random(11);
  std::uint64_t assembled = 0;
  for (int round = 0; round < 150; ++round) {
    Bench bench(RaidLevel::kSingleParity, 3);
    bench.write_everything();
    const auto member = static_cast<std::uint32_t>(random() % 3);
    std::vector<std::byte> bytes = bench.disks.content(member);
    for (std::uint64_t i = 0; i < 1 + random() % 64; ++i) {
      const std::uint64_t end =
          round % 2 == 0 ? kSuperblockAreaBytes : bench.array->areas().data_offset;
      bytes[random() % end] = static_cast<std::byte>(random());
    }
    bench.disks.put_back(member, bytes);
    Result<RaidArray> again = RaidArray::assemble(bench.disks, bench.options, bench.report);
    if (again.ok()) ++assembled;
  }
  CHECK(assembled > 100);
}

}  // namespace slipring::array::test

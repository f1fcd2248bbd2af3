// An array on simulated disks, and what each of its blocks must hold.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "pipelines/array/raid/raid_array.h"
#include "tests/pipelines/array/raid/block_pattern.h"
#include "tests/pipelines/array/raid/simulated_disks.h"

namespace slipring::array::test {

inline constexpr std::uint64_t kRows = 64;
inline constexpr std::uint64_t kDiskBytes = disk_areas(kRows, kLogBytesMin).total_bytes;

inline RaidOptions shape(RaidLevel level, std::uint32_t members) {
  RaidOptions options;
  options.shape = {level, members, 4, kRows};
  options.log_bytes = kLogBytesMin;
  options.new_id = {7};
  return options;
}

// An array on simulated disks, and what its blocks must hold.
struct Bench {
  explicit Bench(RaidLevel level, std::uint32_t members)
      : options(shape(level, members)), disks(members, kDiskBytes, 512) {
    assemble();
    versions.resize(array->block_count());
  }

  void assemble() {
    Result<RaidArray> made = RaidArray::assemble(disks, options, report);
    REQUIRE_MESSAGE(made.ok(), made.error().doing);
    array.emplace(std::move(made).value());
  }

  [[nodiscard]] Status write(std::uint64_t first, std::uint64_t count) {
    BlockMemory memory(count * kBlockBytes);
    std::vector<WriteBlock> blocks;
    for (std::uint64_t i = 0; i < count; ++i) {
      versions[first + i] = ++version;
      fill_block(memory.block(i), first + i, version);
      blocks.push_back({first + i, memory.block(i)});
    }
    return array->write(blocks);
  }

  void write_everything() {
    for (std::uint64_t at = 0; at < versions.size(); at += 16) {
      REQUIRE(write(at, std::min<std::uint64_t>(16, versions.size() - at)).ok());
    }
  }

  // How many blocks are not what they must be.
  [[nodiscard]] std::uint64_t wrong() {
    BlockMemory memory(versions.size() * kBlockBytes);
    std::vector<ReadBlock> reads;
    for (std::uint64_t block = 0; block < versions.size(); ++block) {
      reads.push_back({block, memory.block(block), 0});
    }
    array->read(reads);
    std::uint64_t count = 0;
    for (std::uint64_t block = 0; block < versions.size(); ++block) {
      const auto found = version_in(memory.block(block), block);
      if (reads[block].error != 0 || !found || *found != versions[block]) ++count;
    }
    return count;
  }

  [[nodiscard]] std::uint64_t place_of(std::uint64_t block, std::uint32_t& member) const {
    const BlockPlace place = array->layout().locate(block);
    member = place.member;
    return array->areas().data_offset + place.row * kBlockBytes;
  }

  RaidOptions options;
  SimulatedDisks disks;
  AssemblyReport report;
  std::optional<RaidArray> array;
  std::vector<std::uint64_t> versions;
  std::uint64_t version = 0;
};

inline constexpr struct {
  RaidLevel level;
  std::uint32_t members;
} kArrays[] = {{RaidLevel::kSingleParity, 3},
               {RaidLevel::kSingleParity, 5},
               {RaidLevel::kDoubleParity, 4},
               {RaidLevel::kDoubleParity, 7}};

}  // namespace slipring::array::test

// What lies where on a member, byte by byte; specified in pipelines/array/RAID.md, change both or
// neither.
//
//   0, 4096      superblocks that are in force, the newer counts
//   8192, 12288  superblocks that are proposed
//   64 KiB     log: log_bytes
//              checksums of this member's blocks: checksum_units() * 512
//              copy of the checksums of the member before it (modulo the count), as large
//   data_offset, a multiple of 64 KiB: row_count * 4096 bytes of blocks
//
// All words are little-endian.  All of it is input: a disk may hold anything.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "pipelines/array/raid/raid_layout.h"

namespace slipring::array {

static_assert(std::endian::native == std::endian::little, "words are copied as they lie");

inline constexpr std::uint64_t kSuperblockMagic = 0x3130'4152'5049'4c53;  // "SLIPRA01"
inline constexpr std::uint64_t kLogMagic = 0x3130'474c'5049'4c53;         // "SLIPLG01"
// 2: the log may say that rows are zeros.
inline constexpr std::uint32_t kDiskFormatVersion = 2;
inline constexpr std::uint32_t kDiskFormatVersionMin = 1;  // understood; made 2 by assembling
inline constexpr std::uint64_t kSuperblockBytes = 4096;
inline constexpr std::uint64_t kSuperblockSlots = 4;
inline constexpr std::uint64_t kLogOffset = 64 * 1024;
inline constexpr std::uint64_t kAreaGrainBytes = 64 * 1024;
inline constexpr std::uint64_t kLogBytesMin = 256 * 1024;
inline constexpr std::uint64_t kLogBytesMax = std::uint64_t{1} << 30;
inline constexpr std::uint32_t kChecksumUnitBytes = 512;
inline constexpr std::uint32_t kChecksumsPerUnit = 123;

enum class MemberState : std::uint8_t {
  kMissing = 0,     // failed or never seen; what lies on it is stale
  kActive = 1,      // in sync
  kRebuilding = 2,  // in sync below rebuild_row
};

enum class Standing : std::uint8_t {
  kInForce = 0,
  kProposed = 1,  // says that an epoch of this number may exist, and nothing else
};

using ArrayId = std::array<std::uint8_t, 16>;

struct Superblock {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t check;  // CRC-32C of all kSuperblockBytes with this word zero
  ArrayId array_id;
  std::uint64_t generation;    // one more with every writing of superblocks
  std::uint64_t epoch;         // higher with every assembly and every change of a member's state
  std::uint64_t log_sequence;  // of the group that the log begins with
  std::uint64_t row_count;
  std::uint64_t log_bytes;
  std::uint64_t rebuild_row;  // of the one member that is kRebuilding
  std::uint32_t member;       // which one this disk is
  std::uint32_t member_count;
  std::uint32_t chunk_rows;
  RaidLevel level;
  Standing standing;
  std::uint8_t reserved[2];
  MemberState states[kMemberCountMax];
};
static_assert(offsetof(Superblock, array_id) == 16);
static_assert(offsetof(Superblock, generation) == 32);
static_assert(offsetof(Superblock, member) == 80);
static_assert(offsetof(Superblock, states) == 96);
static_assert(sizeof(Superblock) == 112);
static_assert(std::is_trivially_copyable_v<Superblock>);

// A member's part of a group in the log: this header, entry_count entries, zeros to a multiple of
// 4096, then the blocks of those entries that name the member, in their order.
struct LogPartHeader {
  std::uint64_t magic;
  std::uint32_t member;
  std::uint32_t check;  // CRC-32C of header and entries with this word zero
  ArrayId array_id;
  std::uint64_t epoch;
  std::uint64_t sequence;
  std::uint64_t part_bytes;  // to the next group, the same on every member
  std::uint32_t entry_count;
  std::uint32_t reserved;
};
static_assert(offsetof(LogPartHeader, epoch) == 32);
static_assert(sizeof(LogPartHeader) == 64);

// One block of the group.  A member that is missing has entries too: its checksums are known.
struct LogEntry {
  std::uint64_t row;
  std::uint32_t checksum;
  std::uint32_t member;
};
static_assert(sizeof(LogEntry) == 16);

// As an entry's member: `checksum` rows from `row` on are zeros on all members, parity included.
// Such an entry is alone in its group, and no blocks follow.
inline constexpr std::uint32_t kLogZeroRows = UINT32_MAX;

// Checksums of kChecksumsPerUnit consecutive rows of one member; a sector, which is written whole
// or not at all.
struct ChecksumUnit {
  std::uint32_t checksums[kChecksumsPerUnit];
  std::uint32_t member;
  std::uint64_t generation;  // of the superblocks written after it
  std::uint32_t reserved;
  std::uint32_t check;  // CRC-32C of the unit with this word zero
};
static_assert(sizeof(ChecksumUnit) == kChecksumUnitBytes);
static_assert(offsetof(ChecksumUnit, generation) == 496);

// Where the areas of a member lie.
struct DiskAreas {
  std::uint64_t checksum_units;
  std::uint64_t own_checksums_offset;
  std::uint64_t copied_checksums_offset;
  std::uint64_t data_offset;
  std::uint64_t total_bytes;
};

[[nodiscard]] constexpr DiskAreas disk_areas(std::uint64_t row_count,
                                             std::uint64_t log_bytes) noexcept {
  DiskAreas areas{};
  areas.checksum_units = (row_count + kChecksumsPerUnit - 1) / kChecksumsPerUnit;
  const std::uint64_t table_bytes = areas.checksum_units * kChecksumUnitBytes;
  const auto up = [](std::uint64_t bytes) {
    return (bytes + kAreaGrainBytes - 1) / kAreaGrainBytes * kAreaGrainBytes;
  };
  areas.own_checksums_offset = kLogOffset + up(log_bytes);
  areas.copied_checksums_offset = areas.own_checksums_offset + up(table_bytes);
  areas.data_offset = areas.copied_checksums_offset + up(table_bytes);
  areas.total_bytes = areas.data_offset + row_count * kBlockBytes;
  return areas;
}

}  // namespace slipring::array

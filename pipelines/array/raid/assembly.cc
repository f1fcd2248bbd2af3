#include "pipelines/array/raid/assembly.h"

#include <algorithm>
#include <vector>

#include "pipelines/array/raid/block_memory.h"
#include "pipelines/array/raid/superblock.h"

namespace slipring::array {
namespace {

struct MemberReading {
  std::uint64_t size_bytes = 0;
  SuperblockReading superblocks;
};

std::vector<MemberReading> read_members(DiskSet& disks, std::uint32_t member_count) {
  std::vector<MemberReading> readings(member_count);
  BlockMemory bytes(kSuperblockAreaBytes * member_count);
  std::vector<DiskCommand> reads;
  for (std::uint32_t member = 0; member < member_count; ++member) {
    readings[member].size_bytes = disks.size_bytes(member);
    if (readings[member].size_bytes < kSuperblockAreaBytes) continue;
    DiskCommand& read = reads.emplace_back();
    read.member = member;
    read.into = bytes.data() + member * kSuperblockAreaBytes;
    read.length_bytes = kSuperblockAreaBytes;
  }
  disks.run(reads);
  for (const DiskCommand& read : reads) {
    if (read.error != 0) continue;
    readings[read.member].superblocks =
        read_superblocks({read.into, kSuperblockAreaBytes}, readings[read.member].size_bytes);
  }
  return readings;
}

Status write_first(DiskSet& disks, const Superblock& superblock,
                   const std::vector<std::uint32_t>& members) {
  BlockMemory bytes(kSuperblockBytes * members.size());
  std::vector<DiskCommand> writes;
  for (std::size_t i = 0; i < members.size(); ++i) {
    Superblock own = superblock;
    own.member = members[i];
    encode_superblock(own, bytes.block(i));
    DiskCommand& write = writes.emplace_back();
    write.operation = DiskOperation::kWriteDurable;
    write.member = members[i];
    write.from = bytes.block(i);
    write.length_bytes = kSuperblockBytes;
  }
  disks.run(writes);
  for (const DiskCommand& write : writes) {
    if (write.error != 0) {
      return Error{ErrorCode::kSystem, write.error, "write a new array's superblock", write.member};
    }
  }
  return {};
}

// As many whole chunks as the smallest member has place for.
std::uint64_t rows_that_fit(std::uint64_t disk_bytes, const RaidOptions& options) {
  const std::uint64_t chunk = options.shape.chunk_rows;
  std::uint64_t rows = disk_bytes / kBlockBytes / chunk * chunk;
  while (rows > 0 && disk_areas(rows, options.log_bytes).total_bytes > disk_bytes) rows -= chunk;
  return rows;
}

Result<Superblock> create_array(DiskSet& disks, const RaidOptions& options,
                                const std::vector<MemberReading>& readings,
                                AssemblyReport& report) {
  Superblock superblock{};
  RaidShape shape = options.shape;
  std::uint64_t smallest = UINT64_MAX;
  for (const MemberReading& reading : readings) smallest = std::min(smallest, reading.size_bytes);
  if (shape.chunk_rows == 0 || shape.chunk_rows > kChunkRowsMax) shape.row_count = 1;
  if (shape.row_count == 0) shape.row_count = rows_that_fit(smallest, options);
  if (shape.row_count == 0) {
    return Error{ErrorCode::kInvalidArgument, 0,
                 "the members are too small for a log and one chunk; make them larger", smallest,
                 disk_areas(shape.chunk_rows, options.log_bytes).total_bytes};
  }
  if (const Status valid = validate_shape(shape); !valid) return valid.error();
  if (options.log_bytes < kLogBytesMin || options.log_bytes > kLogBytesMax ||
      options.log_bytes % kBlockBytes != 0) {
    return Error{ErrorCode::kInvalidArgument, 0, "the log is not 256 KiB to 1 GiB in whole blocks",
                 options.log_bytes, kLogBytesMin};
  }
  const std::uint64_t needed = disk_areas(shape.row_count, options.log_bytes).total_bytes;
  if (needed > smallest) {
    return Error{ErrorCode::kInvalidArgument, 0, "the smallest member is too small", smallest,
                 needed};
  }
  superblock.magic = kSuperblockMagic;
  superblock.version = kDiskFormatVersion;
  superblock.array_id = options.new_id;
  superblock.generation = 1;
  superblock.epoch = 1;
  superblock.log_sequence = 1;
  superblock.row_count = shape.row_count;
  superblock.log_bytes = options.log_bytes;
  superblock.member_count = shape.member_count;
  superblock.chunk_rows = shape.chunk_rows;
  superblock.level = shape.level;
  std::vector<std::uint32_t> members;
  for (std::uint32_t member = 0; member < shape.member_count; ++member) {
    superblock.states[member] = MemberState::kActive;
    members.push_back(member);
  }
  if (const Status written = write_first(disks, superblock, members); !written) {
    return written.error();
  }
  report.was_created = true;
  return superblock;
}

Status check_wishes(const Superblock& superblock, const RaidOptions& options) {
  if (superblock.member_count != options.shape.member_count) {
    return Error{ErrorCode::kInvalidArgument, 0, "the array has another number of members",
                 superblock.member_count, options.shape.member_count};
  }
  if (superblock.level != options.shape.level) {
    return Error{ErrorCode::kInvalidArgument, 0, "the array has another RAID level",
                 static_cast<std::uint64_t>(superblock.level),
                 static_cast<std::uint64_t>(options.shape.level)};
  }
  return {};
}

// Why the member is not in sync by the newest superblock; nullptr: it is.
const char* remark_on(const MemberReading& reading, const Superblock& newest, std::uint32_t member,
                      PlantedFault planted) {
  if (reading.size_bytes == 0) return "is not there";
  if (!reading.superblocks.newest) {
    return reading.superblocks.is_blank ? "is blank" : "holds something else";
  }
  const Superblock& own = *reading.superblocks.newest;
  if (own.array_id != newest.array_id) return "belongs to another array";
  if (own.member != member) return "is another member of the array";
  if (planted == PlantedFault::kStaleMemberTaken) return nullptr;
  if (newest.states[member] == MemberState::kMissing) return "was away while others were written";
  return nullptr;
}

}  // namespace

Result<FoundArray> find_array(DiskSet& disks, const RaidOptions& options, AssemblyReport& report) {
  const std::uint32_t member_count = options.shape.member_count;
  if (member_count == 0 || member_count > kMemberCountMax) {
    return Error{ErrorCode::kInvalidArgument, 0, "an array has 1 to 16 members", member_count,
                 kMemberCountMax};
  }
  const std::vector<MemberReading> readings = read_members(disks, member_count);
  FoundArray found{};
  const Superblock* newest = nullptr;
  bool all_blank = true;
  for (std::uint32_t member = 0; member < member_count; ++member) {
    const SuperblockReading& superblocks = readings[member].superblocks;
    found.turns[member] = superblocks.turns;
    all_blank = all_blank && superblocks.is_blank && readings[member].size_bytes != 0;
    found.highest_epoch = std::max(found.highest_epoch, superblocks.highest_epoch);
    if (!superblocks.newest) continue;
    if (newest == nullptr || is_later(*superblocks.newest, *newest)) newest = &*superblocks.newest;
  }
  if (newest == nullptr) {
    if (options.creates && all_blank) {
      Result<Superblock> made = create_array(disks, options, readings, report);
      if (!made) return made.error();
      found.superblock = *made;
      found.highest_epoch = made->epoch;
      for (SuperblockTurns& turns : found.turns) static_cast<void>(turns.take(Standing::kInForce));
      return found;
    }
    return Error{ErrorCode::kNotFound, 0,
                 "no member has a superblock; an array is made only when all are there and blank"};
  }
  if (const Status fits = check_wishes(*newest, options); !fits) return fits.error();
  found.superblock = *newest;
  std::vector<std::uint32_t> unwritten;
  std::uint32_t missing_count = 0;
  for (std::uint32_t member = 0; member < member_count; ++member) {
    report.remarks[member] = remark_on(readings[member], *newest, member, options.planted);
    // The first superblock was on its way to all when the power went; nothing was written since.
    const bool is_unwritten = newest->epoch == 1 && readings[member].superblocks.is_blank &&
                              readings[member].size_bytes != 0;
    if (is_unwritten) {
      report.remarks[member] = nullptr;
      static_cast<void>(found.turns[member].take(Standing::kInForce));
      unwritten.push_back(member);
    }
    if (report.remarks[member] == nullptr) {
      MemberState& state = found.superblock.states[member];
      if (state == MemberState::kMissing) state = MemberState::kActive;
      continue;
    }
    found.superblock.states[member] = MemberState::kMissing;
    ++missing_count;
  }
  if (missing_count > parity_count(found.superblock.level)) {
    return Error{ErrorCode::kDamagedData, 0,
                 "more members are missing than there are parities; bring them back", missing_count,
                 parity_count(found.superblock.level)};
  }
  if (const Status written = write_first(disks, found.superblock, unwritten); !written) {
    return written.error();
  }
  return found;
}

}  // namespace slipring::array

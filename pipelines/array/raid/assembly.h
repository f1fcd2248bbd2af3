// Finding an array on its members: which superblock is the newest, and who is in sync by it.
#pragma once

#include <array>
#include <cstdint>

#include "core/error/result.h"
#include "pipelines/array/raid/disk_format.h"
#include "pipelines/array/raid/disk_set.h"
#include "pipelines/array/raid/raid_array.h"
#include "pipelines/array/raid/superblock.h"

namespace slipring::array {

struct FoundArray {
  Superblock superblock;        // in force; the states corrected for members that are not there
  std::uint64_t highest_epoch;  // seen anywhere: the next one is higher
  std::array<SuperblockTurns, kMemberCountMax> turns;
};

// The newest superblock; a fresh one, written to all members, when they are blank and that is
// wished for.  Errors: as RaidArray::assemble().
Result<FoundArray> find_array(DiskSet& disks, const RaidOptions& options, AssemblyReport& report);

}  // namespace slipring::array

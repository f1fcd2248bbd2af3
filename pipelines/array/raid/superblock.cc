#include "pipelines/array/raid/superblock.h"

#include <algorithm>
#include <cstring>

#include "pipelines/array/raid/block_checksum.h"

namespace slipring::array {
namespace {

[[nodiscard]] bool is_believable(const Superblock& superblock, std::uint64_t disk_bytes) noexcept {
  if (superblock.magic != kSuperblockMagic || superblock.version < kDiskFormatVersionMin ||
      superblock.version > kDiskFormatVersion) {
    return false;
  }
  const RaidShape shape{superblock.level, superblock.member_count, superblock.chunk_rows,
                        superblock.row_count};
  if (!validate_shape(shape) || superblock.member >= superblock.member_count) return false;
  if (superblock.log_bytes < kLogBytesMin || superblock.log_bytes > kLogBytesMax ||
      superblock.log_bytes % kBlockBytes != 0) {
    return false;
  }
  if (superblock.rebuild_row > superblock.row_count) return false;
  const bool knows_states =
      std::all_of(superblock.states, superblock.states + kMemberCountMax,
                  [](MemberState state) { return state <= MemberState::kRebuilding; });
  return knows_states &&
         disk_areas(superblock.row_count, superblock.log_bytes).total_bytes <= disk_bytes;
}

}  // namespace

void encode_superblock(const Superblock& superblock, std::byte* block) noexcept {
  std::memset(block, 0, kSuperblockBytes);
  Superblock sealed = superblock;
  sealed.check = 0;
  std::memcpy(block, &sealed, sizeof sealed);
  sealed.check = crc32c({block, kSuperblockBytes});
  std::memcpy(block, &sealed, sizeof sealed);
}

SuperblockReading read_superblocks(std::span<const std::byte> bytes,
                                   std::uint64_t disk_bytes) noexcept {
  SuperblockReading reading;
  reading.is_blank =
      std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{0}; });
  std::optional<Superblock> found[kSuperblockSlots];
  for (std::uint64_t slot = 0; slot < kSuperblockSlots; ++slot) {
    std::byte block[kSuperblockBytes];
    std::memcpy(block, bytes.data() + slot * kSuperblockBytes, sizeof block);
    Superblock superblock{};
    std::memcpy(&superblock, block, sizeof superblock);
    std::memset(block + offsetof(Superblock, check), 0, sizeof superblock.check);
    if (superblock.check != crc32c(block) || !is_believable(superblock, disk_bytes) ||
        static_cast<std::uint64_t>(superblock.standing) != slot / 2) {
      continue;
    }
    found[slot] = superblock;
    reading.highest_epoch = std::max(reading.highest_epoch, superblock.epoch);
  }
  for (std::uint64_t standing = 0; standing < 2; ++standing) {
    const std::optional<Superblock>& one = found[standing * 2];
    const std::optional<Superblock>& other = found[standing * 2 + 1];
    const bool first_is_later = one && (!other || is_later(*one, *other));
    reading.turns.next[standing] = first_is_later ? 1 : 0;
    if (standing == 0) reading.newest = first_is_later ? one : other;
  }
  return reading;
}

}  // namespace slipring::array

// Rebuilding a member that was replaced, and scrubbing.
#include <algorithm>
#include <cstring>

#include "pipelines/array/raid/block_checksum.h"
#include "pipelines/array/raid/raid_array.h"

namespace slipring::array {
namespace {

// Rows after which a rebuild's progress is written down.
constexpr std::uint64_t kRowsPerRecord = 16 * 1024;
// What no block of zeros has: such a block counts as lost until it is written.
constexpr std::uint32_t kLostChecksum = 1;

[[nodiscard]] bool is_all_zeros(const BlockMemory& blocks) noexcept {
  const std::byte* bytes = blocks.data();
  return bytes[0] == std::byte{0} && std::memcmp(bytes, bytes + 1, blocks.size_bytes() - 1) == 0;
}

}  // namespace

Status RaidArray::look() {
  if (is_broken_) return {};
  BlockMemory blocks(kSuperblockBytes * layout_.members());
  std::vector<DiskCommand> reads;
  for (std::uint32_t member = 0; member < layout_.members(); ++member) {
    if ((present() >> member & 1U) == 0) continue;
    DiskCommand& read = reads.emplace_back();
    read.member = member;
    read.into = blocks.block(member);
    read.length_bytes = kSuperblockBytes;
  }
  return drop(run(reads));
}

Status RaidArray::replace(std::uint32_t member) {
  check(member < layout_.members(), "a member of the array");
  if (is_broken_ || layout_.parities() == 0) {
    return Error{ErrorCode::kInvalidArgument, 0, "nothing is left to rebuild a member from"};
  }
  if (states_[member] != MemberState::kMissing) {
    return Error{ErrorCode::kInvalidArgument, 0, "the member is not missing; fail it first"};
  }
  if (is_rebuilding()) {
    return Error{ErrorCode::kInvalidArgument, 0, "another member is being rebuilt; wait for it"};
  }
  const std::uint64_t size_bytes = disks_->size_bytes(member);
  if (size_bytes < areas_.total_bytes) {
    return Error{ErrorCode::kInvalidArgument, 0, "the new disk is too small", size_bytes,
                 areas_.total_bytes};
  }
  states_[member] = MemberState::kRebuilding;
  rebuild_row_ = 0;
  checksums_.rewrite(member);
  return write_superblocks(true);
}

Result<bool> RaidArray::rebuild(std::uint64_t rows) {
  const auto found = std::find(states_.begin(), states_.end(), MemberState::kRebuilding);
  if (found == states_.end()) return false;
  const auto member = static_cast<std::uint32_t>(found - states_.begin());
  scratch_used_ = 0;
  const std::uint64_t row_count = layout_.shape().row_count;
  const std::uint64_t first = rebuild_row_;
  const std::uint64_t end = std::min(first + rows, row_count);
  std::vector<Row> computed(end - first);
  for (std::uint64_t row = first; row < end; ++row) {
    Row& target = computed[row - first];
    target.row = row;
    target.wanted = 1U << layout_.position_of(row, member);
  }
  fetch(computed);
  if (states_[member] != MemberState::kRebuilding || is_broken_) return is_rebuilding();
  BlockMemory blocks((end - first) * kBlockBytes);
  for (std::uint64_t row = first; row < end; ++row) {
    const Row& source = computed[row - first];
    std::uint32_t checksum = kLostChecksum;
    if ((source.wanted & ~source.known) == 0) {
      std::memcpy(blocks.block(row - first), source.word[layout_.position_of(row, member)],
                  kBlockBytes);
      checksum = block_checksum(blocks.block(row - first));
    } else {
      ++counters_.lost_blocks;
    }
    checksums_.set(member, row, checksum);
  }
  DiskCommand write;
  // What takes no room on the others takes none here; and the new disk may hold anything.
  write.operation = is_all_zeros(blocks) ? DiskOperation::kZero : DiskOperation::kWrite;
  write.member = member;
  write.offset_bytes = data_offset(first);
  write.from = blocks.data();
  write.length_bytes = static_cast<std::uint32_t>(blocks.size_bytes());
  if (const Status written = drop(run({&write, 1})); !written) return written.error();
  if (states_[member] != MemberState::kRebuilding) return false;
  rebuild_row_ = end;
  if (end == row_count) {
    checksums_.settle(member);
    states_[member] = MemberState::kActive;
    rebuild_row_ = 0;
    if (const Status recorded = write_superblocks(true); !recorded) return recorded.error();
    return is_rebuilding();
  }
  if (first / kRowsPerRecord != end / kRowsPerRecord) {
    if (const Status recorded = checkpoint(); !recorded) return recorded.error();
  }
  return true;
}

Status RaidArray::scrub(std::uint64_t row, std::uint64_t rows) {
  if (layout_.parities() == 0 || is_broken_) return {};
  scratch_used_ = 0;
  const std::uint64_t end = std::min(row + rows, layout_.shape().row_count);
  std::vector<Row> looked(end > row ? end - row : 0);
  for (Row& target : looked) {
    target.row = row++;
    target.wanted = held_positions(target.row);
  }
  fetch(looked);
  std::vector<DiskCommand> repairs;
  const std::uint32_t all = (1U << layout_.members()) - 1;
  for (Row& target : looked) {
    if (target.known != all) {
      if ((target.wanted & ~target.known) != 0) ++counters_.lost_blocks;
      continue;
    }
    CodeWord word = target.word;
    for (std::uint32_t i = layout_.data_count(); i < layout_.members(); ++i) {
      word[i] = scratch_block();
    }
    code_.encode(word);
    for (std::uint32_t i = layout_.data_count(); i < layout_.members(); ++i) {
      if (std::memcmp(word[i], target.word[i], kBlockBytes) == 0) continue;
      ++counters_.inconsistent_rows;
      const std::uint32_t member = layout_.member_at(target.row, i);
      checksums_.set(member, target.row, block_checksum(word[i]));
      DiskCommand& repair = repairs.emplace_back();
      repair.operation = DiskOperation::kWrite;
      repair.member = member;
      repair.offset_bytes = data_offset(target.row);
      repair.from = word[i];
      repair.length_bytes = kBlockBytes;
    }
  }
  return drop(run(repairs));
}

}  // namespace slipring::array

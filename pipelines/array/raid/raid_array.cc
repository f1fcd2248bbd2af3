#include "pipelines/array/raid/raid_array.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "pipelines/array/raid/assembly.h"
#include "pipelines/array/raid/log_part.h"
#include "pipelines/array/raid/superblock.h"

namespace slipring::array {
namespace {

RaidShape shape_of(const Superblock& superblock) noexcept {
  return {superblock.level, superblock.member_count, superblock.chunk_rows, superblock.row_count};
}

[[nodiscard]] bool is_same_group(const LogPart& one, const LogPart& other) noexcept {
  return one.header.part_bytes == other.header.part_bytes &&
         one.entries.size() == other.entries.size() &&
         std::memcmp(one.entries.data(), other.entries.data(),
                     one.entries.size() * sizeof(LogEntry)) == 0;
}

DiskCommand write_block(std::uint32_t member, std::uint64_t offset_bytes,
                        const std::byte* block) noexcept {
  DiskCommand command;
  command.operation = DiskOperation::kWrite;
  command.member = member;
  command.offset_bytes = offset_bytes;
  command.from = block;
  command.length_bytes = kBlockBytes;
  return command;
}

constexpr Error kBroken{.code = ErrorCode::kSystem,
                        .os_errno = EIO,
                        .doing = "the array has lost more members than it has parities"};

}  // namespace

RaidArray::RaidArray(DiskSet& disks, const FoundArray& found, const RaidOptions& options) noexcept
    : RaidArray(disks, found.superblock, options) {
  highest_epoch_ = found.highest_epoch;
  turns_ = found.turns;
}

RaidArray::RaidArray(DiskSet& disks, const Superblock& superblock,
                     const RaidOptions& options) noexcept
    : disks_(&disks),
      layout_(shape_of(superblock)),
      code_(layout_.data_count(), layout_.parities()),
      areas_(disk_areas(superblock.row_count, superblock.log_bytes)),
      log_bytes_(superblock.log_bytes),
      planted_(options.planted),
      array_id_(superblock.array_id),
      generation_(superblock.generation),
      epoch_(superblock.epoch),
      next_sequence_(superblock.log_sequence),
      rebuild_row_(superblock.rebuild_row),
      checksums_(superblock.member_count, superblock.row_count, areas_),
      parts_(superblock.member_count) {
  std::copy_n(superblock.states, kMemberCountMax, states_.begin());
}

Result<RaidArray> RaidArray::assemble(DiskSet& disks, const RaidOptions& options,
                                      AssemblyReport& report) {
  report = AssemblyReport();
  Result<FoundArray> found = find_array(disks, options, report);
  if (!found) return found.error();
  const std::uint64_t wanted =
      ChecksumTable::memory_bytes(found->superblock.member_count, found->superblock.row_count);
  if (parity_count(found->superblock.level) != 0 && wanted > options.checksum_bytes_max) {
    return Error{ErrorCode::kNoSpace, 0,
                 "the checksums, 1 GiB for each TiB of a member, do not fit the memory that is "
                 "available; add memory, or use fewer or smaller disks",
                 options.checksum_bytes_max, wanted};
  }
  RaidArray array(disks, *found, options);
  if (array.layout_.parities() != 0) {
    array.counters_.unverified_units = array.checksums_.read_from(disks, array.present());
    if (const Status replayed = array.replay(); !replayed) return replayed.error();
  }
  if (const Status written = array.write_superblocks(true); !written) return written.error();
  return array;
}

std::uint32_t RaidArray::present() const noexcept {
  std::uint32_t mask = 0;
  for (std::uint32_t member = 0; member < layout_.members(); ++member) {
    if (states_[member] != MemberState::kMissing) mask |= 1U << member;
  }
  return mask;
}

bool RaidArray::holds(std::uint32_t member, std::uint64_t row) const noexcept {
  return states_[member] == MemberState::kActive ||
         (states_[member] == MemberState::kRebuilding && row < rebuild_row_);
}

std::uint32_t RaidArray::held_positions(std::uint64_t row) const noexcept {
  std::uint32_t mask = 0;
  for (std::uint32_t position = 0; position < layout_.members(); ++position) {
    if (holds(layout_.member_at(row, position), row)) mask |= 1U << position;
  }
  return mask;
}

bool RaidArray::is_rebuilding() const noexcept {
  return std::find(states_.begin(), states_.end(), MemberState::kRebuilding) != states_.end();
}

std::byte* RaidArray::scratch_block() {
  static constexpr std::size_t kBlocksEach = 64;
  if (scratch_used_ == scratch_.size() * kBlocksEach) {
    scratch_.emplace_back(kBlocksEach * kBlockBytes);
  }
  std::byte* block = scratch_[scratch_used_ / kBlocksEach].block(scratch_used_ % kBlocksEach);
  ++scratch_used_;
  return block;
}

std::uint32_t RaidArray::run(std::span<DiskCommand> commands) {
  if (!commands.empty()) disks_->run(commands);
  std::uint32_t failed = 0;
  for (const DiskCommand& command : commands) {
    if (command.error == 0) continue;
    // A block that cannot be read can be computed, and perhaps written again; a disk that is gone,
    // or does not take what it is given, is of no more use.
    const bool is_gone = command.error == ENXIO || command.error == ENODEV;
    if (command.operation != DiskOperation::kRead || is_gone) {
      failed |= 1U << command.member;
      faults_[command.member] = command.error;
    }
  }
  return failed;
}

bool RaidArray::can_do_without(std::uint32_t failed_members) const noexcept {
  std::uint32_t missing = 0;
  for (std::uint32_t member = 0; member < layout_.members(); ++member) {
    const bool is_lost = (failed_members >> member & 1U) != 0;
    if (is_lost || !holds(member, layout_.shape().row_count - 1)) ++missing;
  }
  return missing <= layout_.parities();
}

Status RaidArray::drop(std::uint32_t failed_members) {
  failed_members &= present();
  if (failed_members == 0) return {};
  // Written down it would be true for ever; perhaps the disks come back after a restart.
  if (!can_do_without(failed_members)) {
    is_broken_ = true;
    return kBroken;
  }
  for (std::uint32_t member = 0; member < layout_.members(); ++member) {
    if ((failed_members >> member & 1U) == 0) continue;
    if (states_[member] == MemberState::kRebuilding) rebuild_row_ = 0;
    states_[member] = MemberState::kMissing;
  }
  return write_superblocks(true);
}

Status RaidArray::write_superblocks(bool new_epoch) {
  if (is_broken_) return kBroken;
  std::vector<DiskCommand> changes;
  if (layout_.parities() != 0) changes = checksums_.changes(present(), generation_ + 1);
  std::uint32_t failed = run(changes);
  std::vector<DiskCommand> syncs;
  for (std::uint32_t member = 0; member < layout_.members(); ++member) {
    if ((present() >> member & 1U) == 0) continue;
    DiskCommand& sync = syncs.emplace_back();
    sync.operation = DiskOperation::kSync;
    sync.member = member;
  }
  if (planted_ != PlantedFault::kNoSyncAtCheckpoint) failed |= run(syncs);
  if (failed != 0) return drop(failed);
  ++generation_;
  if (new_epoch) {
    highest_epoch_ = std::max(highest_epoch_, epoch_) + 1;
    epoch_ = highest_epoch_;
    if (planted_ != PlantedFault::kNoProposal) failed = record(Standing::kProposed);
    if (failed != 0) return drop(failed);
  }
  failed = record(Standing::kInForce);
  if (failed != 0) return drop(failed);
  checksums_.written();
  log_used_bytes_ = 0;
  ++counters_.checkpoints;
  return {};
}

std::uint32_t RaidArray::record(Standing standing) {
  Superblock superblock{};
  superblock.magic = kSuperblockMagic;
  superblock.version = kDiskFormatVersion;
  superblock.array_id = array_id_;
  superblock.generation = generation_;
  superblock.epoch = epoch_;
  superblock.log_sequence = next_sequence_;
  superblock.row_count = layout_.shape().row_count;
  superblock.log_bytes = log_bytes_;
  superblock.rebuild_row = rebuild_row_;
  superblock.member_count = layout_.members();
  superblock.chunk_rows = layout_.shape().chunk_rows;
  superblock.level = layout_.shape().level;
  superblock.standing = standing;
  std::copy(states_.begin(), states_.end(), superblock.states);
  BlockMemory blocks(kSuperblockBytes * layout_.members());
  std::vector<DiskCommand> writes;
  for (std::uint32_t member = 0; member < layout_.members(); ++member) {
    if ((present() >> member & 1U) == 0) continue;
    superblock.member = member;
    encode_superblock(superblock, blocks.block(member));
    DiskCommand& write = writes.emplace_back(
        write_block(member, turns_[member].take(standing), blocks.block(member)));
    write.operation = DiskOperation::kWriteDurable;
  }
  return run(writes);
}

Status RaidArray::checkpoint() {
  return write_superblocks(false);
}

Status RaidArray::flush() {
  if (is_broken_) return kBroken;
  // With a log, what was answered is on stable storage already.
  if (layout_.parities() != 0) return {};
  std::vector<DiskCommand> syncs(layout_.members());
  for (std::uint32_t member = 0; member < layout_.members(); ++member) {
    syncs[member].operation = DiskOperation::kSync;
    syncs[member].member = member;
  }
  return drop(run(syncs));
}

Status RaidArray::fail(std::uint32_t member) {
  if (is_broken_) return kBroken;
  check(member < layout_.members(), "a member of the array");
  faults_[member] = 0;
  const Status dropped = drop(1U << member);
  // Asked for by a person, and refused: the disk is as good as before.
  if (!dropped && states_[member] != MemberState::kMissing) is_broken_ = false;
  return dropped;
}

Status RaidArray::replay() {
  std::uint64_t part_bytes = 0;
  for (std::uint64_t at = 0; at + kBlockBytes <= log_bytes_; at += part_bytes) {
    if (!replay_group(at, part_bytes)) break;
    ++next_sequence_;
    ++counters_.replayed_groups;
  }
  return is_broken_ ? Status(kBroken) : Status();
}

bool RaidArray::drop_unrecorded(std::uint32_t member) {
  std::uint32_t missing = 0;
  states_[member] = MemberState::kMissing;
  for (std::uint32_t other = 0; other < layout_.members(); ++other) {
    if (!holds(other, layout_.shape().row_count - 1)) ++missing;
  }
  is_broken_ = missing > layout_.parities();
  return !is_broken_;
}

std::optional<LogPart> RaidArray::read_part(std::uint32_t member, std::uint64_t at_bytes,
                                            BlockMemory& memory, int& error) {
  // The head says how long the part is; until it is judged that is a number like any other.
  std::uint64_t length = kBlockBytes;
  for (int look = 0; look < 2; ++look) {
    memory = BlockMemory(length);
    DiskCommand read;
    read.member = member;
    read.offset_bytes = kLogOffset + at_bytes;
    read.into = memory.data();
    read.length_bytes = static_cast<std::uint32_t>(length);
    disks_->run({&read, 1});
    error = read.error;
    if (error != 0) return std::nullopt;
    LogPartHeader header{};
    std::memcpy(&header, memory.data(), sizeof header);
    if (header.magic != kLogMagic || header.sequence != next_sequence_ ||
        header.part_bytes > log_bytes_ - at_bytes || header.part_bytes < kBlockBytes) {
      return std::nullopt;
    }
    length = header.part_bytes;
  }
  return decode_log_part({memory.data(), memory.size_bytes()},
                         {array_id_, epoch_, next_sequence_, member, layout_.shape()});
}

bool RaidArray::replay_group(std::uint64_t at_bytes, std::uint64_t& part_bytes) {
  std::vector<BlockMemory> memory(layout_.members());
  std::vector<std::optional<LogPart>> parts(layout_.members());
  const LogPart* first = nullptr;
  for (std::uint32_t member = 0; member < layout_.members(); ++member) {
    if ((present() >> member & 1U) == 0) continue;
    int error = 0;
    parts[member] = read_part(member, at_bytes, memory[member], error);
    if (error != 0) {
      // What this disk's part says cannot be known: as if the disk had not come back.
      if (!drop_unrecorded(member)) return false;
      continue;
    }
    if (!parts[member]) return false;
    if (first == nullptr) first = &*parts[member];
    if (!is_same_group(*first, *parts[member])) return false;
  }
  if (first == nullptr) return false;
  std::vector<DiskCommand> writes;
  const bool is_zeros = !first->entries.empty() && first->entries[0].member == kLogZeroRows;
  if (is_zeros) writes = zero_commands(first->entries[0].row, first->entries[0].checksum);
  for (const std::optional<LogPart>& part : parts) {
    if (!part || is_zeros) continue;
    const std::byte* block = part->blocks;
    for (const LogEntry& entry : part->entries) {
      if (entry.member != part->header.member) continue;
      if (holds(entry.member, entry.row)) {
        writes.push_back(write_block(entry.member, data_offset(entry.row), block));
      }
      block += kBlockBytes;
    }
  }
  for (const LogEntry& entry : first->entries) {
    if (is_zeros) {
      checksums_.set_zeros(entry.row, entry.checksum);
    } else {
      checksums_.set(entry.member, entry.row, entry.checksum);
    }
  }
  part_bytes = first->header.part_bytes;
  const std::uint32_t failed = run(writes);
  for (std::uint32_t member = 0; member < layout_.members(); ++member) {
    if ((failed >> member & 1U) != 0 && !drop_unrecorded(member)) return false;
  }
  return true;
}

}  // namespace slipring::array

// Rows of zeros, and where they are: one word in the log, and holes on the members.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "pipelines/array/raid/log_part.h"
#include "pipelines/array/raid/raid_array.h"

namespace slipring::array {
namespace {

// A group's: what a member that cannot make holes writes before anybody else is served.
constexpr std::uint64_t kRowsPerGroup = 64 * 1024;
// Looked at for one answer.
constexpr std::uint64_t kRowsPerLook = 16 * 1024;

alignas(kBlockBytes) constexpr std::byte kZeroBlock[kBlockBytes] = {};

// Which of a member's rows are holes, from the first that was asked for on.
struct MemberHoles {
  std::vector<bool> is_hole;  // as far as it is known
};

MemberHoles holes_in(const DiskCommand& command) {
  MemberHoles holes;
  std::uint64_t at_bytes = 0;
  for (std::size_t i = 0; command.error == 0 && i < kDiskExtentCount; ++i) {
    DiskExtent extent{};
    std::memcpy(&extent, command.into + i * sizeof extent, sizeof extent);
    if (extent.length_bytes == 0 || at_bytes == command.length_bytes) break;
    const std::uint64_t end_bytes =
        at_bytes + std::min<std::uint64_t>(extent.length_bytes, command.length_bytes - at_bytes);
    // A row that is a hole in part only is none: of two extents the second decides on it too.
    const std::uint64_t begin = at_bytes / kBlockBytes;
    const std::uint64_t end = (end_bytes + kBlockBytes - 1) / kBlockBytes;
    holes.is_hole.resize(end, true);
    for (std::uint64_t row = begin; row < end && extent.is_hole == 0; ++row) {
      holes.is_hole[row] = false;
    }
    at_bytes = end_bytes;
  }
  return holes;
}

}  // namespace

Status RaidArray::zero(std::uint64_t first_block, std::uint64_t count) {
  if (is_broken_) {
    return Error{ErrorCode::kSystem, EIO, "the array has lost more members than it has parities"};
  }
  check(first_block <= block_count() && count <= block_count() - first_block,
        "blocks beyond the array");
  const std::uint64_t stripe = layout_.stripe_blocks();
  const std::uint64_t end = first_block + count;
  const std::uint64_t whole_begin = std::min((first_block + stripe - 1) / stripe * stripe, end);
  const std::uint64_t whole_end = std::max(end / stripe * stripe, whole_begin);
  std::vector<WriteBlock> edges;
  for (std::uint64_t block = first_block; block < end; ++block) {
    if (block == whole_begin) block = whole_end;
    if (block < end) edges.push_back({block, kZeroBlock});
  }
  if (const Status written = write(edges); !written) return written;
  const std::uint64_t rows_end = whole_end / stripe * layout_.shape().chunk_rows;
  for (std::uint64_t row = whole_begin / stripe * layout_.shape().chunk_rows;
       whole_begin != whole_end && row < rows_end; row += kRowsPerGroup) {
    const Status zeroed = zero_rows(row, std::min(kRowsPerGroup, rows_end - row));
    if (!zeroed) return zeroed;
  }
  return {};
}

std::vector<DiskCommand> RaidArray::zero_commands(std::uint64_t row, std::uint64_t count) const {
  std::vector<DiskCommand> commands;
  for (std::uint32_t member = 0; member < layout_.members(); ++member) {
    if ((present() >> member & 1U) == 0) continue;
    DiskCommand& command = commands.emplace_back();
    command.operation = DiskOperation::kZero;
    command.member = member;
    command.offset_bytes = data_offset(row);
    command.length_bytes = static_cast<std::uint32_t>(count * kBlockBytes);
  }
  return commands;
}

Status RaidArray::zero_rows(std::uint64_t row, std::uint64_t count) {
  const auto put = [&] {
    std::vector<DiskCommand> commands = zero_commands(row, count);
    return drop(run(commands));
  };
  const bool has_log = layout_.parities() != 0 && planted_ != PlantedFault::kZeroNotLogged;
  if (has_log && planted_ == PlantedFault::kLogAfterData) {
    if (const Status zeroed = put(); !zeroed) return zeroed;
    checksums_.set_zeros(row, count);
    return log_zeros(row, count);
  }
  if (has_log) {
    if (const Status logged = log_zeros(row, count); !logged) return logged;
  }
  checksums_.set_zeros(row, count);
  counters_.zeroed_rows += count;
  return put();
}

Status RaidArray::log_zeros(std::uint64_t row, std::uint64_t count) {
  const LogEntry entry{row, static_cast<std::uint32_t>(count), kLogZeroRows};
  const std::uint64_t part_bytes = log_head_bytes(1);
  for (;;) {
    if (log_used_bytes_ + part_bytes > log_bytes_) {
      if (const Status emptied = checkpoint(); !emptied) return emptied;
      continue;
    }
    LogPartHeader header{};
    header.magic = kLogMagic;
    header.array_id = array_id_;
    header.epoch = epoch_;
    header.sequence = next_sequence_;
    header.part_bytes = part_bytes;
    header.entry_count = 1;
    std::vector<DiskCommand> commands;
    for (std::uint32_t member = 0; member < layout_.members(); ++member) {
      if ((present() >> member & 1U) == 0) continue;
      header.member = member;
      parts_[member].need(part_bytes);
      encode_log_head(header, {&entry, 1}, parts_[member].data());
      DiskCommand& command = commands.emplace_back();
      command.operation = planted_ == PlantedFault::kLogNotDurable ? DiskOperation::kWrite
                                                                   : DiskOperation::kWriteDurable;
      command.member = member;
      command.offset_bytes = kLogOffset + log_used_bytes_;
      command.from = parts_[member].data();
      command.length_bytes = static_cast<std::uint32_t>(part_bytes);
    }
    const std::uint32_t failed = run(commands);
    if (failed == 0) break;
    // A new epoch without these members, in which it is logged anew.
    if (const Status dropped = drop(failed); !dropped) return dropped;
  }
  log_used_bytes_ += part_bytes;
  ++next_sequence_;
  ++counters_.groups;
  return {};
}

std::vector<BlockRun> RaidArray::extents(std::uint64_t first_block, std::uint64_t count) {
  if (count == 0) return {};
  check(first_block < block_count() && count <= block_count() - first_block,
        "blocks beyond the array");
  const std::uint64_t stripe = layout_.stripe_blocks();
  const std::uint64_t chunk = layout_.shape().chunk_rows;
  const std::uint64_t first_row = first_block / stripe * chunk;
  const std::uint64_t rows = std::min(
      (first_block + count - 1) / stripe * chunk + chunk - first_row, kRowsPerLook / chunk * chunk);
  std::vector<MemberHoles> holes(layout_.members());
  std::vector<DiskCommand> commands;
  BlockMemory memory(std::uint64_t{kDiskExtentsBytes} * layout_.members());
  for (std::uint32_t member = 0; member < layout_.members() && !is_broken_; ++member) {
    if ((present() >> member & 1U) == 0) continue;
    DiskCommand& command = commands.emplace_back();
    command.operation = DiskOperation::kExtents;
    command.member = member;
    command.offset_bytes = data_offset(first_row);
    command.into = memory.data() + std::uint64_t{member} * kDiskExtentsBytes;
    command.length_bytes = static_cast<std::uint32_t>(rows * kBlockBytes);
  }
  // A disk that does not know says so with an error, which is no failure of its.
  if (!commands.empty()) disks_->run(commands);
  // As far as all can say; but on at least by one stripe.
  std::uint64_t known_rows = rows;
  for (const DiskCommand& command : commands) {
    holes[command.member] = holes_in(command);
    if (command.error != 0) continue;
    known_rows = std::min<std::uint64_t>(known_rows, holes[command.member].is_hole.size());
  }
  known_rows = std::max(known_rows / chunk * chunk, chunk);
  const std::uint64_t end =
      std::min(first_block + count, (first_row + known_rows) / chunk * stripe);
  std::vector<BlockRun> runs;
  for (std::uint64_t block = first_block; block < end; ++block) {
    const BlockPlace place = layout_.locate(block);
    const std::vector<bool>& is_hole_there = holes[place.member].is_hole;
    const std::uint64_t at = place.row - first_row;
    const bool is_hole =
        at < is_hole_there.size() && is_hole_there[at] && holds(place.member, place.row) &&
        (layout_.parities() == 0 || checksums_.may_be_zeros(place.member, place.row));
    if (runs.empty() || runs.back().is_hole != is_hole) runs.push_back({0, is_hole});
    ++runs.back().count;
  }
  return runs;
}

}  // namespace slipring::array

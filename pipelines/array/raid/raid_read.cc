// Reading blocks, and computing those that cannot be read.
#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "pipelines/array/raid/block_checksum.h"
#include "pipelines/array/raid/raid_array.h"

namespace slipring::array {
namespace {

// Whether the command goes on where the other ends, on the disk and in memory.
[[nodiscard]] bool follows(const DiskCommand& command, const DiskCommand& next) noexcept {
  return command.member == next.member &&
         command.offset_bytes + command.length_bytes == next.offset_bytes &&
         command.into + command.length_bytes == next.into;
}

}  // namespace

void RaidArray::read(std::span<ReadBlock> blocks) {
  scratch_used_ = 0;
  struct Source {
    BlockPlace place;
    std::size_t command;
    bool is_held;
  };
  std::vector<Source> sources;
  std::vector<DiskCommand> commands;
  for (ReadBlock& block : blocks) {
    check(block.block < block_count(), "a block beyond the array");
    block.error = is_broken_ ? EIO : 0;
    const BlockPlace place = layout_.locate(block.block);
    sources.push_back({place, 0, !is_broken_ && holds(place.member, place.row)});
    if (!sources.back().is_held) continue;
    DiskCommand command;
    command.member = place.member;
    command.offset_bytes = data_offset(place.row);
    command.into = block.into;
    command.length_bytes = kBlockBytes;
    if (!commands.empty() && follows(commands.back(), command)) {
      commands.back().length_bytes += kBlockBytes;
    } else {
      commands.push_back(command);
    }
    sources.back().command = commands.size() - 1;
  }
  const std::uint32_t failed = run(commands);
  std::vector<Row> rows;
  std::vector<ReadBlock*> targets;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const Source& source = sources[i];
    if (blocks[i].error != 0) continue;
    const bool is_read = source.is_held && commands[source.command].error == 0;
    if (is_read &&
        (layout_.parities() == 0 ||
         checksums_.fits(source.place.member, source.place.row, block_checksum(blocks[i].into)))) {
      continue;
    }
    if (!source.is_held) ++counters_.degraded_blocks;
    Row& row = rows.emplace_back();
    row.row = source.place.row;
    row.wanted = 1U << source.place.data_index;
    targets.push_back(&blocks[i]);
  }
  if (!drop(failed)) rows.clear();
  fetch(rows);
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (i >= rows.size() || rows[i].known == 0 || (rows[i].known & rows[i].wanted) == 0) {
      targets[i]->error = EIO;
      ++counters_.lost_blocks;
      continue;
    }
    const auto position = static_cast<std::uint32_t>(std::countr_zero(rows[i].wanted));
    std::memcpy(targets[i]->into, rows[i].word[position], kBlockBytes);
  }
}

void RaidArray::judge(Row& row, std::uint32_t position, int error) {
  const std::uint32_t member = layout_.member_at(row.row, position);
  const std::uint32_t bit = 1U << position;
  if (error != 0) {
    ++counters_.unreadable[member];
    row.bad |= bit;
    row.dead |= bit;
  } else if (layout_.parities() != 0 &&
             !checksums_.fits(member, row.row, block_checksum(row.word[position]))) {
    ++counters_.lies[member];
    row.bad |= bit;
  } else {
    row.known |= bit;
  }
}

template <typename PositionsOf>
void RaidArray::read_positions(std::span<Row> rows, PositionsOf&& positions_of) {
  std::vector<DiskCommand> commands;
  std::vector<BlockOfRow> blocks;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::uint32_t positions = positions_of(rows[i]) & held_positions(rows[i].row);
    for (std::uint32_t position = 0; position < layout_.members(); ++position) {
      if ((positions >> position & 1U) == 0) continue;
      if (rows[i].word[position] == nullptr) rows[i].word[position] = scratch_block();
      DiskCommand& command = commands.emplace_back();
      command.member = layout_.member_at(rows[i].row, position);
      command.offset_bytes = data_offset(rows[i].row);
      command.into = rows[i].word[position];
      command.length_bytes = kBlockBytes;
      blocks.push_back({static_cast<std::uint32_t>(i), position});
    }
  }
  const std::uint32_t failed = run(commands);
  for (std::size_t i = 0; i < commands.size(); ++i) {
    judge(rows[blocks[i].row_index], blocks[i].position, commands[i].error);
  }
  // An array that cannot do without answers so at its next command.
  static_cast<void>(drop(failed));
}

void RaidArray::fetch(std::span<Row> rows) {
  read_positions(rows, [](const Row& row) { return row.wanted & ~row.known; });
  std::vector<Row*> incomplete;
  for (Row& row : rows) {
    if ((row.wanted & ~row.known) != 0) incomplete.push_back(&row);
  }
  if (incomplete.empty() || layout_.parities() == 0) return;
  // Everything else of these rows, but what was found bad a moment ago.
  read_positions(rows, [](const Row& row) {
    return (row.wanted & ~row.known) != 0 ? ~(row.known | row.bad) : 0U;
  });
  mend(rows);
}

void RaidArray::mend(std::span<Row> rows) {
  std::vector<DiskCommand> repairs;
  for (Row& row : rows) {
    const std::uint32_t lost = row.wanted & ~row.known;
    if (lost == 0 || is_broken_) continue;
    const std::uint32_t computed = lost | row.bad;
    for (std::uint32_t position = 0; position < layout_.members(); ++position) {
      if ((computed >> position & 1U) != 0) row.word[position] = scratch_block();
    }
    if (!code_.reconstruct(row.word, row.known, computed)) continue;
    row.known |= computed;
    for (std::uint32_t position = 0; position < layout_.members(); ++position) {
      const std::uint32_t member = layout_.member_at(row.row, position);
      if ((row.bad >> position & 1U) == 0 || !holds(member, row.row)) continue;
      // The others are right by their checksums, and so is what follows from them.
      const std::uint32_t checksum = block_checksum(row.word[position]);
      if (!checksums_.fits(member, row.row, checksum)) checksums_.set(member, row.row, checksum);
      DiskCommand& repair = repairs.emplace_back();
      repair.operation = DiskOperation::kWrite;
      repair.member = member;
      repair.offset_bytes = data_offset(row.row);
      repair.from = row.word[position];
      repair.length_bytes = kBlockBytes;
      ++counters_.repaired_blocks;
    }
  }
  if (drop(run(repairs)).ok()) prove(rows);
}

void RaidArray::prove(std::span<const Row> rows) {
  std::vector<DiskCommand> reads;
  BlockMemory block(kBlockBytes);  // the bytes are of no interest
  for (const Row& row : rows) {
    for (std::uint32_t position = 0; position < layout_.members(); ++position) {
      const std::uint32_t member = layout_.member_at(row.row, position);
      const bool was_mended = (row.dead & row.known) >> position & 1U;
      if (!was_mended || !holds(member, row.row)) continue;
      DiskCommand& read = reads.emplace_back();
      read.member = member;
      read.offset_bytes = data_offset(row.row);
      read.into = block.data();
      read.length_bytes = kBlockBytes;
    }
  }
  std::uint32_t failed = run(reads);
  for (const DiskCommand& read : reads) {
    if (read.error == 0) continue;
    faults_[read.member] = read.error;
    if (can_do_without(failed | 1U << read.member)) failed |= 1U << read.member;
  }
  static_cast<void>(drop(failed));
}

}  // namespace slipring::array

// Writing groups of rows: plan, read what parity needs, log, put in place.
#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "pipelines/array/raid/block_checksum.h"
#include "pipelines/array/raid/log_part.h"
#include "pipelines/array/raid/raid_array.h"

namespace slipring::array {
namespace {

// A group's blocks: large enough that one wait for the log serves many, small enough for the log.
constexpr std::size_t kGroupBlocksMax = 512;

constexpr Error kRowLost{.code = ErrorCode::kSystem,
                         .os_errno = EIO,
                         .doing =
                             "a row's other blocks are lost, so that its parity cannot be "
                             "computed; write the whole row"};

}  // namespace

Status RaidArray::write(std::span<const WriteBlock> blocks) {
  if (is_broken_) {
    return Error{ErrorCode::kSystem, EIO, "the array has lost more members than it has parities"};
  }
  if (layout_.parities() == 0) return write_striped(blocks);
  // A block may have all of the log's parts but the heads, with a third to spare.
  const std::size_t most =
      std::clamp<std::size_t>(log_bytes_ / kBlockBytes / 3, 1, kGroupBlocksMax);
  for (std::size_t first = 0; first < blocks.size(); first += most) {
    const std::size_t count = std::min(most, blocks.size() - first);
    if (const Status written = write_group(blocks.subspan(first, count)); !written) return written;
  }
  return {};
}

Status RaidArray::write_striped(std::span<const WriteBlock> blocks) {
  std::vector<DiskCommand> commands;
  for (const WriteBlock& block : blocks) {
    const BlockPlace place = layout_.locate(block.block);
    DiskCommand command;
    command.operation = DiskOperation::kWrite;
    command.member = place.member;
    command.offset_bytes = data_offset(place.row);
    command.from = block.from;
    command.length_bytes = kBlockBytes;
    if (!commands.empty() && commands.back().member == command.member &&
        commands.back().offset_bytes + commands.back().length_bytes == command.offset_bytes &&
        commands.back().from + commands.back().length_bytes == command.from) {
      commands.back().length_bytes += kBlockBytes;
    } else {
      commands.push_back(command);
    }
  }
  return drop(run(commands));
}

Status RaidArray::write_group(std::span<const WriteBlock> blocks) {
  scratch_used_ = 0;
  Group group;
  plan(group, blocks);
  if (const Status computed = compute(group); !computed) return computed;
  if (planted_ == PlantedFault::kLogAfterData) {
    pack(group);
    if (const Status put = put_in_place(group); !put) return put;
    return log(group);
  }
  if (const Status logged = log(group); !logged) return logged;
  return put_in_place(group);
}

void RaidArray::plan(Group& group, std::span<const WriteBlock> blocks) {
  struct Change {
    std::uint64_t row;
    std::uint32_t position;
    const std::byte* from;
  };
  std::vector<Change> changes;
  changes.reserve(blocks.size());
  for (const WriteBlock& block : blocks) {
    check(block.block < block_count(), "a block beyond the array");
    const BlockPlace place = layout_.locate(block.block);
    changes.push_back({place.row, place.data_index, block.from});
  }
  std::sort(changes.begin(), changes.end(), [](const Change& one, const Change& other) {
    return one.row != other.row ? one.row < other.row : one.position < other.position;
  });
  for (const Change& change : changes) {
    if (group.rows.empty() || group.rows.back().row != change.row) {
      group.rows.emplace_back().row = change.row;
    }
    Row& row = group.rows.back();
    row.changed |= 1U << change.position;
    // Parity wants aligned blocks.  What is written is only read from, by everybody.
    if (reinterpret_cast<std::uintptr_t>(change.from) % kBlockAlignmentBytes == 0) {
      row.next[change.position] = const_cast<std::byte*>(change.from);
      continue;
    }
    row.next[change.position] = scratch_block();
    std::memcpy(row.next[change.position], change.from, kBlockBytes);
  }
  for (Row& row : group.rows) choose_method(row);
}

void RaidArray::choose_method(Row& row) {
  const std::uint32_t data_mask = (1U << layout_.data_count()) - 1;
  const std::uint32_t held = held_positions(row.row);
  const std::uint32_t parities = held & ~data_mask;
  const std::uint32_t others = data_mask & ~row.changed;
  const std::uint32_t before = row.changed | parities;
  if (parities == 0) return;
  const bool can_complete = (others & ~held) == 0;
  const bool can_modify = (before & ~held) == 0;
  const bool modifies =
      can_modify && (!can_complete || std::popcount(before) < std::popcount(others));
  row.wanted = modifies ? before : others;
  if (others == 0) {
    ++counters_.full_rows;
  } else {
    ++(modifies ? counters_.modified_rows : counters_.completed_rows);
  }
}

Status RaidArray::compute(Group& group) {
  fetch(group.rows);
  const std::uint32_t data_mask = (1U << layout_.data_count()) - 1;
  for (Row& row : group.rows) {
    if ((row.wanted & ~row.known) != 0) return kRowLost;
    // What the row's method read also says which it was.
    const bool modifies = (row.wanted & ~data_mask) != 0;
    for (std::uint32_t i = 0; i < layout_.parities(); ++i) {
      row.next[layout_.data_count() + i] = scratch_block();
    }
    if (modifies) {
      for (std::uint32_t i = 0; i < layout_.parities(); ++i) {
        const std::uint32_t position = layout_.data_count() + i;
        if ((row.wanted >> position & 1U) == 0) continue;
        std::memcpy(row.next[position], row.word[position], kBlockBytes);
        for (std::uint32_t data = 0; data < layout_.data_count(); ++data) {
          if ((row.changed >> data & 1U) == 0) continue;
          code_.update(row.next[position], i, data, row.word[data], row.next[data]);
        }
        row.changed |= 1U << position;
      }
      continue;
    }
    // No parity is at hand: the data alone.
    if ((held_positions(row.row) & ~data_mask) == 0) continue;
    CodeWord word = row.word;
    for (std::uint32_t position = 0; position < layout_.members(); ++position) {
      if (row.next[position] != nullptr) word[position] = row.next[position];
    }
    code_.encode(word);
    row.changed |= ~data_mask & ((1U << layout_.members()) - 1);
  }
  return {};
}

void RaidArray::pack(Group& group) {
  group.entries.clear();
  std::vector<std::uint64_t> block_counts(layout_.members(), 0);
  for (std::uint32_t member = 0; member < layout_.members(); ++member) {
    for (const Row& row : group.rows) {
      const std::uint32_t position = layout_.position_of(row.row, member);
      if ((row.changed >> position & 1U) == 0) continue;
      group.entries.push_back({row.row, block_checksum(row.next[position]), member});
      if (holds(member, row.row)) ++block_counts[member];
    }
  }
  // A member's part must not name blocks that it does not bring.
  std::erase_if(group.entries, [this](const LogEntry& entry) {
    return states_[entry.member] != MemberState::kMissing && !holds(entry.member, entry.row);
  });
  const std::uint64_t head_bytes = log_head_bytes(group.entries.size());
  const std::uint64_t most = *std::max_element(block_counts.begin(), block_counts.end());
  group.part_bytes = head_bytes + most * kBlockBytes;
  LogPartHeader header{};
  header.magic = kLogMagic;
  header.array_id = array_id_;
  header.epoch = epoch_;
  header.sequence = next_sequence_;
  header.part_bytes = group.part_bytes;
  header.entry_count = static_cast<std::uint32_t>(group.entries.size());
  for (std::uint32_t member = 0; member < layout_.members(); ++member) {
    if ((present() >> member & 1U) == 0) continue;
    header.member = member;
    parts_[member].need(group.part_bytes);
    std::byte* place = parts_[member].data();
    encode_log_head(header, group.entries, place);
    place += head_bytes;
    for (const Row& row : group.rows) {
      const std::uint32_t position = layout_.position_of(row.row, member);
      if ((row.changed >> position & 1U) == 0 || !holds(member, row.row)) continue;
      std::memcpy(place, row.next[position], kBlockBytes);
      place += kBlockBytes;
    }
  }
}

Status RaidArray::log(Group& group) {
  for (;;) {
    pack(group);
    if (log_used_bytes_ + group.part_bytes > log_bytes_) {
      if (group.part_bytes > log_bytes_) return kRowLost;
      if (const Status emptied = checkpoint(); !emptied) return emptied;
      continue;  // a member may have been lost on the way
    }
    const std::uint64_t head_bytes = log_head_bytes(group.entries.size());
    std::vector<std::uint64_t> lengths(layout_.members(), head_bytes);
    for (const LogEntry& entry : group.entries) {
      if (holds(entry.member, entry.row)) lengths[entry.member] += kBlockBytes;
    }
    std::vector<DiskCommand> commands;
    for (std::uint32_t member = 0; member < layout_.members(); ++member) {
      if ((present() >> member & 1U) == 0) continue;
      DiskCommand& command = commands.emplace_back();
      command.operation = planted_ == PlantedFault::kLogNotDurable ? DiskOperation::kWrite
                                                                   : DiskOperation::kWriteDurable;
      command.member = member;
      command.offset_bytes = kLogOffset + log_used_bytes_;
      command.from = parts_[member].data();
      command.length_bytes = static_cast<std::uint32_t>(lengths[member]);
    }
    const std::uint32_t failed = run(commands);
    if (failed == 0) break;
    // A new epoch without these members, in which the group is logged anew.
    if (const Status dropped = drop(failed); !dropped) return dropped;
  }
  log_used_bytes_ += group.part_bytes;
  ++next_sequence_;
  ++counters_.groups;
  for (const LogEntry& entry : group.entries) {
    checksums_.set(entry.member, entry.row, entry.checksum);
  }
  return {};
}

Status RaidArray::put_in_place(Group& group) {
  const std::uint64_t head_bytes = log_head_bytes(group.entries.size());
  std::vector<const std::byte*> next(layout_.members());
  for (std::uint32_t member = 0; member < layout_.members(); ++member) {
    if (parts_[member].data() != nullptr) next[member] = parts_[member].data() + head_bytes;
  }
  std::vector<DiskCommand> commands;
  for (const LogEntry& entry : group.entries) {
    if (!holds(entry.member, entry.row)) continue;
    DiskCommand command;
    command.operation = DiskOperation::kWrite;
    command.member = entry.member;
    command.offset_bytes = data_offset(entry.row);
    command.from = next[entry.member];
    command.length_bytes = kBlockBytes;
    next[entry.member] += kBlockBytes;
    if (!commands.empty() && commands.back().member == command.member &&
        commands.back().offset_bytes + commands.back().length_bytes == command.offset_bytes) {
      commands.back().length_bytes += kBlockBytes;
    } else {
      commands.push_back(command);
    }
  }
  return drop(run(commands));
}

}  // namespace slipring::array

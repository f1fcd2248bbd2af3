#include "tests/pipelines/array/raid/simulated_disks.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace slipring::array::test {

SimulatedDisks::SimulatedDisks(std::uint32_t member_count, std::uint64_t disk_bytes,
                               std::uint32_t sector_bytes)
    : disks_(member_count), sector_bytes_(sector_bytes) {
  for (Disk& disk : disks_) {
    disk.stable.assign(disk_bytes, std::byte{0});
    disk.live = disk.stable;
  }
}

std::uint64_t SimulatedDisks::size_bytes(std::uint32_t member) {
  return disks_[member].is_present ? disks_[member].live.size() : 0;
}

void SimulatedDisks::run(std::span<DiskCommand> commands) {
  if (before_run) before_run(commands);
  ++run_count;
  for (DiskCommand& command : commands) execute(command);
}

// Zeroes are the writing of zeros, torn and lost as any other.
std::optional<DiskCommand> SimulatedDisks::as_write(const DiskCommand& command) const {
  if (command.operation != DiskOperation::kZero) return std::nullopt;
  if (zeros_.size() < command.length_bytes) zeros_.resize(command.length_bytes);
  DiskCommand write = command;
  write.operation = DiskOperation::kWrite;
  write.from = zeros_.data();
  return write;
}

// Holes are where all of a block is zeros.
void SimulatedDisks::look(const Disk& disk, const DiskCommand& command) {
  static constexpr std::uint64_t kBlock = 4096;
  std::memset(command.into, 0, kDiskExtentsBytes);
  std::size_t count = 0;
  DiskExtent run{};
  for (std::uint64_t at = 0; at < command.length_bytes && count < kDiskExtentCount; at += kBlock) {
    const auto begin = disk.live.begin() + static_cast<std::ptrdiff_t>(command.offset_bytes + at);
    const std::uint64_t is_hole =
        std::all_of(begin, begin + kBlock, [](std::byte byte) { return byte == std::byte{0}; });
    if (run.length_bytes != 0 && run.is_hole != is_hole) {
      ++count;
      run.length_bytes = 0;
    }
    run = {run.length_bytes + kBlock, is_hole};
    if (count < kDiskExtentCount) {
      std::memcpy(command.into + count * sizeof run, &run, sizeof run);
    }
  }
}

void SimulatedDisks::execute(DiskCommand& command) {
  Disk& disk = disks_[command.member];
  command.error = 0;
  if (!disk.is_present) {
    command.error = ENXIO;
    return;
  }
  if (command.operation == DiskOperation::kSync) {
    if (disk.fails_syncs) {
      command.error = EIO;
      return;
    }
    ++stable_changes_;
    settle(disk);
    return;
  }
  if (command.offset_bytes + command.length_bytes > disk.live.size()) {
    command.error = EINVAL;
    return;
  }
  if (command.operation == DiskOperation::kRead) {
    const auto bad = disk.bad_sectors.lower_bound(command.offset_bytes / sector_bytes_);
    if (bad != disk.bad_sectors.end() &&
        *bad * sector_bytes_ < command.offset_bytes + command.length_bytes) {
      command.error = EIO;
      return;
    }
    std::memcpy(command.into, disk.live.data() + command.offset_bytes, command.length_bytes);
    return;
  }
  if (command.operation == DiskOperation::kExtents) {
    look(disk, command);
    return;
  }
  if (disk.write_error != 0) {
    command.error = disk.write_error;
    return;
  }
  if (!disk.loses_writes) write(disk, as_write(command).value_or(command));
}

void SimulatedDisks::write(Disk& disk, const DiskCommand& command) {
  std::memcpy(disk.live.data() + command.offset_bytes, command.from, command.length_bytes);
  disk.touched.emplace_back(command.offset_bytes, command.length_bytes);
  const bool is_durable = command.operation == DiskOperation::kWriteDurable;
  const std::uint64_t end = command.offset_bytes + command.length_bytes;
  for (std::uint64_t at = command.offset_bytes; at < end; at += sector_bytes_) {
    disk.bad_sectors.erase(at / sector_bytes_);  // a disk puts a written sector elsewhere
    if (is_durable) {
      disk.unstable.erase(at);
      continue;
    }
    disk.unstable[at].emplace_back(
        command.from + (at - command.offset_bytes),
        command.from + std::min<std::uint64_t>(at - command.offset_bytes + sector_bytes_,
                                               command.length_bytes));
  }
  if (is_durable) {
    ++stable_changes_;
    std::memcpy(disk.stable.data() + command.offset_bytes, command.from, command.length_bytes);
  }
}

void SimulatedDisks::settle(Disk& disk) {
  for (const auto& [at, versions] : disk.unstable) {
    std::copy(versions.back().begin(), versions.back().end(),
              disk.stable.begin() + static_cast<std::ptrdiff_t>(at));
  }
  disk.unstable.clear();
}

std::vector<UnstableSector> SimulatedDisks::unstable(std::span<const DiskCommand> commands) const {
  std::vector<UnstableSector> sectors;
  for (std::uint32_t member = 0; member < disks_.size(); ++member) {
    std::map<std::uint64_t, std::vector<std::vector<std::byte>>> merged = disks_[member].unstable;
    for (const DiskCommand& given : commands) {
      const DiskCommand command = as_write(given).value_or(given);
      if (command.member != member || command.operation == DiskOperation::kExtents ||
          command.operation == DiskOperation::kRead || command.operation == DiskOperation::kSync ||
          !disks_[member].is_present || disks_[member].loses_writes ||
          disks_[member].write_error != 0) {
        continue;
      }
      for (std::uint64_t at = 0; at < command.length_bytes; at += sector_bytes_) {
        merged[command.offset_bytes + at].emplace_back(
            command.from + at,
            command.from + std::min<std::uint64_t>(at + sector_bytes_, command.length_bytes));
      }
    }
    for (auto& [at, versions] : merged) {
      sectors.push_back({member, at, std::move(versions)});
    }
  }
  return sectors;
}

void SimulatedDisks::set_bad_sector(std::uint32_t member, std::uint64_t offset_bytes) {
  disks_[member].bad_sectors.insert(offset_bytes / sector_bytes_);
}

void SimulatedDisks::flip_bit(std::uint32_t member, std::uint64_t offset_bytes) {
  ++stable_changes_;
  disks_[member].live[offset_bytes] ^= std::byte{0x10};
  disks_[member].stable[offset_bytes] = disks_[member].live[offset_bytes];
}

void SimulatedDisks::replace(std::uint32_t member) {
  ++stable_changes_;
  const std::size_t size = disks_[member].live.size();
  disks_[member] = Disk();
  disks_[member].stable.assign(size, std::byte{0});
  disks_[member].live = disks_[member].stable;
}

void SimulatedDisks::put_back(std::uint32_t member, const std::vector<std::byte>& bytes) {
  ++stable_changes_;
  disks_[member] = Disk();
  disks_[member].stable = bytes;
  disks_[member].live = bytes;
  disks_[member].touched.emplace_back(0, bytes.size());
}

void SimulatedDisks::become(const SimulatedDisks& other, std::span<const UnstableSector> unstable,
                            std::span<const std::uint32_t> choices) {
  const bool is_same = became_ == other.stable_changes_;
  became_ = other.stable_changes_;
  for (std::uint32_t member = 0; member < disks_.size(); ++member) {
    Disk& disk = disks_[member];
    const std::vector<std::byte>& bytes = other.disks_[member].stable;
    if (!is_same) disk.touched.assign(1, {0, bytes.size()});
    for (const auto& [at, length] : disk.touched) {
      std::memcpy(disk.live.data() + at, bytes.data() + at, length);
      std::memcpy(disk.stable.data() + at, bytes.data() + at, length);
    }
    disk.touched.clear();
    disk.unstable.clear();
    disk.bad_sectors.clear();
    disk.is_present = true;
  }
  for (std::size_t i = 0; i < unstable.size(); ++i) {
    if (choices[i] == 0) continue;
    Disk& disk = disks_[unstable[i].member];
    const std::vector<std::byte>& version = unstable[i].versions[choices[i] - 1];
    const auto at = static_cast<std::ptrdiff_t>(unstable[i].offset_bytes);
    std::copy(version.begin(), version.end(), disk.live.begin() + at);
    std::copy(version.begin(), version.end(), disk.stable.begin() + at);
    disk.touched.emplace_back(unstable[i].offset_bytes, version.size());
  }
}

}  // namespace slipring::array::test

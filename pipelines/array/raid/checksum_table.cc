#include "pipelines/array/raid/checksum_table.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "core/error/check.h"

#include "pipelines/array/raid/block_checksum.h"

namespace slipring::array {
namespace {

constexpr std::uint64_t kUnitsPerRead = 2048;

// Nothing for a unit that is torn, foreign or of another member.
[[nodiscard]] std::optional<ChecksumUnit> decode(const std::byte* place, std::uint32_t member) {
  ChecksumUnit unit{};
  std::memcpy(&unit, place, sizeof unit);
  const bool is_blank =
      std::all_of(place, place + sizeof unit, [](std::byte byte) { return byte == std::byte{0}; });
  if (is_blank) return unit;
  const std::uint32_t found = unit.check;
  unit.check = 0;
  std::byte bytes[sizeof unit];
  std::memcpy(bytes, &unit, sizeof unit);
  if (crc32c(bytes) != found || unit.member != member) return std::nullopt;
  return unit;
}

}  // namespace

ChecksumTable::ChecksumTable(std::uint32_t member_count, std::uint64_t row_count,
                             const DiskAreas& areas)
    : member_count_(member_count), row_count_(row_count), areas_(areas), tables_(member_count) {
  for (Table& table : tables_) {
    // Fresh from the kernel, and untouched: pages of zeros that nobody has.
    table.checksums.reset(
        static_cast<std::uint32_t*>(std::calloc(row_count, sizeof(std::uint32_t))));
    check(table.checksums != nullptr || row_count == 0, "memory for checksums");
    table.is_changed.assign(areas.checksum_units, false);
    table.is_unknown.assign(areas.checksum_units, false);
  }
}

void ChecksumTable::set(std::uint32_t member, std::uint64_t row, std::uint32_t checksum) noexcept {
  std::uint32_t& place = tables_[member].checksums[row];
  if (place != checksum) place = checksum;  // a page of zeros that is only read takes no memory
  tables_[member].is_changed[row / kChecksumsPerUnit] = true;
}

void ChecksumTable::set_zeros(std::uint64_t row, std::uint64_t count) noexcept {
  for (std::uint32_t member = 0; member < member_count_; ++member) {
    for (std::uint64_t at = row; at < row + count; ++at) set(member, at, 0);
  }
}

std::uint64_t ChecksumTable::read_from(DiskSet& disks, std::uint32_t present) {
  std::uint64_t unknown_count = 0;
  const std::size_t read_bytes =
      std::min(kUnitsPerRead, areas_.checksum_units) * kChecksumUnitBytes;
  BlockMemory bytes(2 * member_count_ * read_bytes);
  // From all members at once: of large ones it is minutes.
  for (std::uint64_t first = 0; first < areas_.checksum_units; first += kUnitsPerRead) {
    const std::uint64_t count = std::min(kUnitsPerRead, areas_.checksum_units - first);
    std::vector<DiskCommand> reads;
    for (std::uint32_t table = 0; table < 2 * member_count_; ++table) {
      DiskCommand read;
      read.member = (table / 2 + table % 2) % member_count_;
      read.offset_bytes = table_offset(table % 2) + first * kChecksumUnitBytes;
      read.into = bytes.data() + table * read_bytes;
      read.length_bytes = static_cast<std::uint32_t>(count * kChecksumUnitBytes);
      if ((present >> read.member & 1U) != 0) reads.push_back(read);
    }
    disks.run(reads);
    for (std::uint32_t member = 0; member < member_count_; ++member) {
      const std::byte* begin = bytes.data() + 2 * member * read_bytes;
      std::vector<DiskCommand> copies;
      for (const DiskCommand& read : reads) {
        if (read.into == begin || read.into == begin + read_bytes) copies.push_back(read);
      }
      for (std::uint64_t unit = 0; unit < count; ++unit) {
        if (!choose(member, first + unit, unit * kChecksumUnitBytes, copies)) ++unknown_count;
      }
    }
  }
  return unknown_count;
}

bool ChecksumTable::choose(std::uint32_t member, std::uint64_t unit, std::size_t at,
                           std::span<const DiskCommand> reads) {
  Table& table = tables_[member];
  std::optional<ChecksumUnit> newest;
  for (const DiskCommand& read : reads) {
    if (read.error != 0) continue;
    const auto found = decode(read.into + at, member);
    if (found && (!newest || found->generation > newest->generation)) newest = found;
  }
  table.is_unknown[unit] = !newest;
  if (!newest) return false;
  const std::uint64_t row = unit * kChecksumsPerUnit;
  const std::uint64_t rows = std::min<std::uint64_t>(kChecksumsPerUnit, row_count_ - row);
  // Zeros are there already.
  if (std::all_of(newest->checksums, newest->checksums + rows, [](auto one) { return one == 0; })) {
    return true;
  }
  std::copy_n(newest->checksums, rows, table.checksums.get() + row);
  return true;
}

void ChecksumTable::encode(std::uint32_t member, std::uint64_t unit, std::uint64_t generation,
                           std::byte* place) const noexcept {
  const Table& table = tables_[member];
  ChecksumUnit image{};
  const std::uint64_t row = unit * kChecksumsPerUnit;
  const std::uint64_t rows = std::min<std::uint64_t>(kChecksumsPerUnit, row_count_ - row);
  std::copy_n(table.checksums.get() + row, rows, image.checksums);
  image.member = member;
  image.generation = generation;
  std::memcpy(place, &image, sizeof image);
  image.check = crc32c({place, sizeof image});
  std::memcpy(place, &image, sizeof image);
}

std::vector<DiskCommand> ChecksumTable::changes(std::uint32_t present, std::uint64_t generation) {
  std::vector<DiskCommand> commands;
  written_.clear();
  for (std::uint32_t member = 0; member < member_count_; ++member) {
    const Table& table = tables_[member];
    for (std::uint64_t first = 0; first < areas_.checksum_units;) {
      if (!table.is_changed[first] || table.is_unknown[first]) {
        ++first;
        continue;
      }
      std::uint64_t end = first;
      while (end < areas_.checksum_units && table.is_changed[end] && !table.is_unknown[end] &&
             end - first < kUnitsPerRead) {
        ++end;
      }
      const std::size_t size_bytes = (end - first) * kChecksumUnitBytes;
      BlockMemory& memory = written_.emplace_back(size_bytes);
      for (std::uint64_t unit = first; unit < end; ++unit) {
        encode(member, unit, generation, memory.data() + (unit - first) * kChecksumUnitBytes);
      }
      for (std::uint32_t copy = 0; copy < 2; ++copy) {
        const std::uint32_t holder = (member + copy) % member_count_;
        if ((present >> holder & 1U) == 0) continue;
        DiskCommand command;
        command.operation = DiskOperation::kWrite;
        command.member = holder;
        command.offset_bytes = table_offset(copy) + first * kChecksumUnitBytes;
        command.from = memory.data();
        command.length_bytes = static_cast<std::uint32_t>(size_bytes);
        commands.push_back(command);
      }
      first = end;
    }
  }
  return commands;
}

void ChecksumTable::written() noexcept {
  for (Table& table : tables_) std::fill(table.is_changed.begin(), table.is_changed.end(), false);
  written_.clear();
}

void ChecksumTable::settle(std::uint32_t member) noexcept {
  Table& table = tables_[member];
  std::fill(table.is_unknown.begin(), table.is_unknown.end(), false);
  std::fill(table.is_changed.begin(), table.is_changed.end(), true);
}

void ChecksumTable::rewrite(std::uint32_t member) noexcept {
  for (const std::uint32_t of : {member, (member + member_count_ - 1) % member_count_}) {
    std::fill(tables_[of].is_changed.begin(), tables_[of].is_changed.end(), true);
  }
}

}  // namespace slipring::array

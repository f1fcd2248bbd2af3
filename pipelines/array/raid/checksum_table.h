// The checksums of every block of every member, in memory and on the members.
//
// Each member's table lies on itself and on the member after it, so that a disk that lost a write
// and the checksum beside it is found out.  Of two units the newer one that can be believed counts.
// Units change on disk only at a checkpoint, before which the log holds everything that changed
// since the last one; so it does not matter which of them a power cut let through.
//
// In memory, four bytes for each block of each member; the pages of blocks that are all zeros, as a
// new disk's are, take none.
//
// One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "pipelines/array/raid/block_memory.h"
#include "pipelines/array/raid/disk_format.h"
#include "pipelines/array/raid/disk_set.h"

namespace slipring::array {

class ChecksumTable {
 public:
  ChecksumTable(std::uint32_t member_count, std::uint64_t row_count, const DiskAreas& areas);

  // At most, once every block has been written.
  [[nodiscard]] static constexpr std::uint64_t memory_bytes(std::uint32_t member_count,
                                                            std::uint64_t row_count) noexcept {
    const std::uint64_t units = row_count / kChecksumsPerUnit + 1;
    return member_count * (row_count * sizeof(std::uint32_t) + 2 * (units / 8 + 1));
  }

  // Whether the block may be the one that was written there last; true where no checksum is known.
  [[nodiscard]] bool fits(std::uint32_t member, std::uint64_t row,
                          std::uint32_t checksum) const noexcept {
    const Table& table = tables_[member];
    return table.checksums[row] == checksum || table.is_unknown[row / kChecksumsPerUnit];
  }
  // Whether what was written there last may be zeros, and is known.
  [[nodiscard]] bool may_be_zeros(std::uint32_t member, std::uint64_t row) const noexcept {
    const Table& table = tables_[member];
    return table.checksums[row] == 0 && !table.is_unknown[row / kChecksumsPerUnit];
  }
  void set(std::uint32_t member, std::uint64_t row, std::uint32_t checksum) noexcept;
  // Of all members, to that of a block of zeros.
  void set_zeros(std::uint64_t row, std::uint64_t count) noexcept;

  // Reads the tables from the members in `present` (bit = member).  A unit that cannot be believed
  // on either is counted in the answer; its checksums are unknown, and it is not written again
  // until settle() says that all of the member's are known.
  std::uint64_t read_from(DiskSet& disks, std::uint32_t present);

  // Everything that is to be written to the members in `present` now; stays valid until the next
  // call.  written() afterwards says that it is there.
  [[nodiscard]] std::vector<DiskCommand> changes(std::uint32_t present, std::uint64_t generation);
  void written() noexcept;

  // All checksums of the member have been set.
  void settle(std::uint32_t member) noexcept;

  // A member was replaced: both tables that it is to hold are written again.
  void rewrite(std::uint32_t member) noexcept;

 private:
  struct Free {
    void operator()(std::uint32_t* numbers) const noexcept { std::free(numbers); }
  };
  struct Table {
    std::unique_ptr<std::uint32_t[], Free> checksums;  // a row
    std::vector<bool> is_changed;                      // a unit
    std::vector<bool> is_unknown;                      // a unit
  };

  [[nodiscard]] bool choose(std::uint32_t member, std::uint64_t unit, std::size_t at,
                            std::span<const DiskCommand> reads);
  void encode(std::uint32_t member, std::uint64_t unit, std::uint64_t generation,
              std::byte* place) const noexcept;

  // Of the member's own table, and of its copy on the next one.
  [[nodiscard]] std::uint64_t table_offset(std::uint32_t copy) const noexcept {
    return copy == 0 ? areas_.own_checksums_offset : areas_.copied_checksums_offset;
  }

  std::uint32_t member_count_;
  std::uint64_t row_count_;
  DiskAreas areas_;
  std::vector<Table> tables_;
  std::vector<BlockMemory> written_;  // keeps the bytes of changes()
};

}  // namespace slipring::array

// An array of members with parity, as one range of blocks: the logic, over a DiskSet.
//
// What it promises (levels 5 and 6; why it holds is in pipelines/array/RAID.md).  When write()
// answers, all its blocks are on stable storage, on every member that is there.  A power cut, at
// any instant, leaves every block as it was or as it was to become, and every row consistent, also
// when as many members as there are parities do not come back.  A block that a member returns
// changed is found by its checksum, computed from the others, and written again.
//
// Level 0 has no parity, no log and no checksums: what was written is on stable storage after
// flush(), and a member that is lost takes the array with it.
//
// Every call runs its disk commands to the end; nothing is under way between calls, so that a row
// is never seen half written.  One thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "core/error/result.h"
#include "pipelines/array/raid/block_memory.h"
#include "pipelines/array/raid/checksum_table.h"
#include "pipelines/array/raid/disk_format.h"
#include "pipelines/array/raid/disk_set.h"
#include "pipelines/array/raid/log_part.h"
#include "pipelines/array/raid/parity.h"
#include "pipelines/array/raid/raid_layout.h"
#include "pipelines/array/raid/superblock.h"

namespace slipring::array {

// Deliberate faults, for tests that must see them.
enum class PlantedFault : std::uint8_t {
  kNone,
  kLogAfterData,        // rows are written before the log that would repair them
  kLogNotDurable,       // the log is not waited for
  kNoSyncAtCheckpoint,  // the log is given up while rows are still under way to the platters
  kStaleMemberTaken,    // a member that was away is taken for current
  kNoProposal,          // an epoch is in force before all have heard of it
  kZeroNotLogged,       // rows become zeros without a word in the log
};

struct ReadBlock {
  std::uint64_t block = 0;
  std::byte* into = nullptr;
  int error = 0;  // the answer: 0, or EIO when it is lost
};

struct WriteBlock {
  std::uint64_t block = 0;
  const std::byte* from = nullptr;
};

// Of extents().
struct BlockRun {
  std::uint64_t count;  // blocks
  bool is_hole;         // reads as zeros, and takes no room
};

struct RaidCounters {
  std::uint64_t full_rows = 0;       // written without reading
  std::uint64_t modified_rows = 0;   // old data and parity were read
  std::uint64_t completed_rows = 0;  // the row's other data were read
  std::uint64_t zeroed_rows = 0;     // made zeros on all members, without data
  std::uint64_t groups = 0;
  std::uint64_t checkpoints = 0;
  std::uint64_t degraded_blocks = 0;    // read, and computed from the others
  std::uint64_t repaired_blocks = 0;    // unreadable or wrong, computed and written again
  std::uint64_t lost_blocks = 0;        // neither readable nor computable
  std::uint64_t replayed_groups = 0;    // of the log, at the last assembly
  std::uint64_t unverified_units = 0;   // of the checksums, unreadable at the last assembly
  std::uint64_t inconsistent_rows = 0;  // found by scrub: checksums right, parity wrong
  std::array<std::uint64_t, kMemberCountMax> unreadable{};  // blocks that a member could not read
  std::array<std::uint64_t, kMemberCountMax> lies{};        // blocks that a member returned changed
};

// How members stand, as assemble() finds them.
struct AssemblyReport {
  bool was_created = false;
  std::array<const char*, kMemberCountMax> remarks{};  // why a member is not in sync; nullptr: is
};

struct RaidOptions {
  RaidShape shape;  // row_count 0: what the smallest member holds
  std::uint64_t log_bytes = 8 * 1024 * 1024;
  ArrayId new_id{};                               // of an array to be created
  bool creates = true;                            // on members that are all blank
  std::uint64_t checksum_bytes_max = UINT64_MAX;  // memory that there is for them
  PlantedFault planted = PlantedFault::kNone;
};

struct FoundArray;

class RaidArray {
 public:
  // Finds the array on the members, or makes one when they are blank; replays the log; begins a new
  // epoch.  Errors: kNotFound (no member has a superblock, and none is to be made),
  // kInvalidArgument (the superblocks say another shape than asked for; members too small),
  // kDamagedData (more members missing than parities: found, wanted; members of different arrays),
  // kNoSpace (checksums that the memory does not hold: found, wanted bytes), kSystem.
  static Result<RaidArray> assemble(DiskSet& disks, const RaidOptions& options,
                                    AssemblyReport& report);

  RaidArray(RaidArray&&) = default;

  [[nodiscard]] const RaidLayout& layout() const noexcept { return layout_; }
  [[nodiscard]] std::uint64_t block_count() const noexcept { return layout_.block_count(); }

  // Any number of blocks, each at most once.
  void read(std::span<ReadBlock> blocks);

  // Any number of blocks, each at most once.  Errors: kSystem with EIO when the array has lost too
  // many members, or a row's other blocks; then any part of it may have been written.
  Status write(std::span<const WriteBlock> blocks);

  // The blocks are zeros from now on.  Whole stripes need not take room on the members any more;
  // what is left at the ends is written.  Errors: as write().
  Status zero(std::uint64_t first_block, std::uint64_t count);

  // Runs from `first_block` on, at least one unless `count` is 0; perhaps fewer blocks than asked
  // for.  A hole is one by its disk's word and by its checksum; what is not known is none.
  [[nodiscard]] std::vector<BlockRun> extents(std::uint64_t first_block, std::uint64_t count);

  // Everything written is on stable storage.  Errors: as write().
  Status flush();

  // Writes down what the log would have to repeat, and empties it.  Errors: as write().
  Status checkpoint();

  // Asks every member for a little, so that one that is gone is found out though nobody reads or
  // writes.  Errors: as write().
  Status look();

  // The member is not to be used any more.  Errors: as write(); the array stays as it is when it
  // cannot do without.
  Status fail(std::uint32_t member);
  // A fresh disk is there in the place of a missing member: its blocks are to be computed, by
  // rebuild().  Errors: kInvalidArgument (not missing; too small: found, wanted; another one is
  // being rebuilt), as write().
  Status replace(std::uint32_t member);
  // Computes and writes the next `rows`; true while there is more to do.
  Result<bool> rebuild(std::uint64_t rows);
  // Compares `rows` from `row` with their checksums and parities, and mends what it can.
  Status scrub(std::uint64_t row, std::uint64_t rows);

  [[nodiscard]] bool is_broken() const noexcept { return is_broken_; }
  [[nodiscard]] MemberState state_of(std::uint32_t member) const noexcept {
    return states_[member];
  }
  // The errno for which the member was dropped last; 0: none of its own.
  [[nodiscard]] int fault_of(std::uint32_t member) const noexcept { return faults_[member]; }
  [[nodiscard]] std::uint64_t rebuild_row() const noexcept { return rebuild_row_; }
  [[nodiscard]] bool is_rebuilding() const noexcept;
  [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_; }
  [[nodiscard]] const RaidCounters& counters() const noexcept { return counters_; }
  [[nodiscard]] std::uint64_t log_used_bytes() const noexcept { return log_used_bytes_; }
  [[nodiscard]] const DiskAreas& areas() const noexcept { return areas_; }

 private:
  // A row that is read, changed or computed: its blocks by position, where they are at hand.
  struct Row {
    std::uint64_t row = 0;
    std::uint32_t changed = 0;  // positions that are written
    std::uint32_t known = 0;    // positions whose block in `word` is what the members hold
    std::uint32_t wanted = 0;   // positions that must be read
    std::uint32_t bad = 0;      // positions that could not be read, or came back changed
    std::uint32_t dead = 0;     // of these, the former
    CodeWord word{};            // what the members hold
    CodeWord next{};            // what they are to hold
  };
  struct Group {
    std::vector<Row> rows;
    std::vector<LogEntry> entries;  // by member, then by row
    std::uint64_t part_bytes = 0;
  };
  // A block that a command reads or writes, of the row with that index.
  struct BlockOfRow {
    std::uint32_t row_index;
    std::uint32_t position;
  };

  RaidArray(DiskSet& disks, const FoundArray& found, const RaidOptions& options) noexcept;
  RaidArray(DiskSet& disks, const Superblock& superblock, const RaidOptions& options) noexcept;

  Status replay();
  // The member's part at that place, if it is the next group's; `error` when it cannot be read.
  [[nodiscard]] std::optional<LogPart> read_part(std::uint32_t member, std::uint64_t at_bytes,
                                                 BlockMemory& memory, int& error);
  // Before the assembly has written superblocks.  False: the array cannot do without.
  [[nodiscard]] bool drop_unrecorded(std::uint32_t member);
  [[nodiscard]] bool replay_group(std::uint64_t at_bytes, std::uint64_t& part_bytes);

  [[nodiscard]] std::uint32_t present() const noexcept;  // members with a log
  [[nodiscard]] bool holds(std::uint32_t member, std::uint64_t row) const noexcept;
  [[nodiscard]] std::uint32_t held_positions(std::uint64_t row) const noexcept;
  [[nodiscard]] std::uint64_t data_offset(std::uint64_t row) const noexcept {
    return areas_.data_offset + row * kBlockBytes;
  }

  // Runs commands; members that failed a write or are gone are in the answer.
  std::uint32_t run(std::span<DiskCommand> commands);
  [[nodiscard]] bool can_do_without(std::uint32_t failed_members) const noexcept;
  Status drop(std::uint32_t failed_members);
  Status write_superblocks(bool new_epoch);
  std::uint32_t record(Standing standing);

  // Reads every row's `wanted` blocks that are not known yet; computes what cannot be had
  // otherwise, and mends it.  What cannot be had at all stays unknown.
  void fetch(std::span<Row> rows);
  // Reads `positions_of(row)`; marks them known or bad.
  template <typename PositionsOf>
  void read_positions(std::span<Row> rows, PositionsOf&& positions_of);
  void judge(Row& row, std::uint32_t position, int error);
  void mend(std::span<Row> rows);
  // Reads again what could not be read and was mended.  A member that still cannot is dropped, as
  // long as the array can do without.
  void prove(std::span<const Row> rows);

  // Zeros for whole stripes' rows.
  Status zero_rows(std::uint64_t row, std::uint64_t count);
  Status log_zeros(std::uint64_t row, std::uint64_t count);
  [[nodiscard]] std::vector<DiskCommand> zero_commands(std::uint64_t row,
                                                       std::uint64_t count) const;

  Status write_striped(std::span<const WriteBlock> blocks);
  Status write_group(std::span<const WriteBlock> blocks);
  void plan(Group& group, std::span<const WriteBlock> blocks);
  void choose_method(Row& row);
  Status compute(Group& group);
  Status log(Group& group);
  void pack(Group& group);
  Status put_in_place(Group& group);

  [[nodiscard]] std::byte* scratch_block();

  DiskSet* disks_;
  RaidLayout layout_;
  ParityCode code_;
  DiskAreas areas_;
  std::uint64_t log_bytes_;
  PlantedFault planted_;
  ArrayId array_id_;
  std::array<MemberState, kMemberCountMax> states_{};
  std::array<int, kMemberCountMax> faults_{};
  std::array<SuperblockTurns, kMemberCountMax> turns_{};
  std::uint64_t generation_;
  std::uint64_t epoch_;
  std::uint64_t highest_epoch_ = 0;  // that any member has heard of
  std::uint64_t next_sequence_;
  std::uint64_t rebuild_row_;
  std::uint64_t log_used_bytes_ = 0;
  bool is_broken_ = false;
  ChecksumTable checksums_;
  RaidCounters counters_;
  std::deque<BlockMemory> scratch_;  // blocks that one call works with
  std::size_t scratch_used_ = 0;
  std::vector<BlockMemory> parts_;  // a member's part of the group under way
};

}  // namespace slipring::array

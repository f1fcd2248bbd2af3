#include "tests/pipelines/array/raid/power_cut.h"

#include <algorithm>
#include <bit>

#include "pipelines/array/raid/block_memory.h"
#include "tests/pipelines/array/raid/block_pattern.h"
#include "tests/pipelines/array/raid/cut_choices.h"

namespace slipring::array::test {
namespace {

constexpr std::uint32_t kChunkRows = 2;
constexpr std::uint64_t kRows = 24;
constexpr std::uint64_t kLogBytes = kLogBytesMin;

RaidOptions raid_options(const PowerCutOptions& options) {
  RaidOptions raid;
  raid.shape.level = options.level;
  raid.shape.member_count = options.member_count;
  raid.shape.chunk_rows = kChunkRows;
  raid.shape.row_count = kRows;
  raid.log_bytes = kLogBytes;
  raid.new_id = {1, 2, 3};
  raid.planted = options.planted;
  return raid;
}

// What a block may hold: one version that was answered, and one that is under way.
struct Promise {
  std::uint64_t answered = 0;
  std::uint64_t under_way = 0;  // the same when there is none
};

class PowerCuts {
 public:
  explicit PowerCuts(const PowerCutOptions& options)
      : options_(options),
        random_(options.seed),
        disk_bytes_(disk_areas(kRows, kLogBytes).total_bytes),
        disks_(options.member_count, disk_bytes_, options.sector_bytes),
        crashed_(options.member_count, disk_bytes_, options.sector_bytes),
        nested_(options.member_count, disk_bytes_, options.sector_bytes) {}

  PowerCutReport run() {
    disks_.before_run = [this](std::span<const DiskCommand> commands) { cut(disks_, commands); };
    AssemblyReport report;
    Result<RaidArray> made = RaidArray::assemble(disks_, raid_options(options_), report);
    if (!made) {
      note("the array cannot be made: " + std::string(made.error().doing));
      return report_;
    }
    promises_.resize(made->block_count());
    for (std::uint32_t step = 0; step < options_.steps && report_.violations == 0; ++step) {
      take_step(*made, step);
    }
    // A cut when nothing is under way.
    cut(disks_, {});
    return report_;
  }

 private:
  void note(const std::string& what) {
    if (report_.violations++ == 0) report_.first_violation = what;
  }

  // The members whose loss the array must bear now, as masks; 0 first.
  std::vector<std::uint32_t> losses() const {
    std::vector<std::uint32_t> masks{0};
    const std::uint32_t spare =
        parity_count(options_.level) - static_cast<std::uint32_t>(std::popcount(out_of_sync_));
    for (std::uint32_t mask = 1; mask < 1U << options_.member_count; ++mask) {
      if ((mask & out_of_sync_) != 0) continue;
      if (static_cast<std::uint32_t>(std::popcount(mask)) <= spare) masks.push_back(mask);
    }
    return masks;
  }

  void take_step(RaidArray& array, std::uint32_t step) {
    if (options_.loses_member && step == options_.steps / 4) {
      // The disk dies with what is on it, and a stale copy stays in its slot.
      out_of_sync_ = 2;
      if (!array.fail(1)) note("a member cannot be failed");
      return;
    }
    if (options_.loses_member && step == options_.steps / 2) {
      disks_.replace(1);
      if (!array.replace(1)) note("a member cannot be replaced");
      return;
    }
    if (options_.loses_member && step > options_.steps / 2 && array.is_rebuilding()) {
      const Result<bool> more = array.rebuild(9);
      if (!more) note("a rebuild fails");
      if (more.ok() && !array.is_rebuilding()) out_of_sync_ = 0;
    }
    if (step % 5 == 4 && !array.checkpoint()) note("a checkpoint fails");
    if (step % 3 == 2) {
      zero_some(array);
    } else {
      write_some(array);
    }
  }

  // Whole stripes, whole stripes and a little more, or a part of one.
  void zero_some(RaidArray& array) {
    const std::uint64_t stripe = kChunkRows * array.layout().data_count();
    const std::uint64_t counts[] = {stripe, 2 * stripe, 2 * stripe + 1, stripe - 1};
    const std::uint64_t count = counts[random_() % 4];
    const std::uint64_t first = random_() % 2 * stripe + (count % stripe == 0 ? 0 : random_() % 2);
    for (std::uint64_t block = first; block < first + count; ++block) {
      promises_[block].under_way = 0;
    }
    if (!array.zero(first, count)) note("zeroing fails");
    for (std::uint64_t block = first; block < first + count; ++block) promises_[block].answered = 0;
    for (std::uint64_t block = first; block < first + count;) {
      const std::vector<BlockRun> runs = array.extents(block, first + count - block);
      for (const BlockRun& run : runs) block += run.count;
      if (runs.empty()) return note("no extents are known");
    }
    ++report_.zeroings;
  }

  void write_some(RaidArray& array) {
    const std::uint64_t stripe = kChunkRows * array.layout().data_count();
    static constexpr std::uint64_t kOdd = 3;
    const std::uint64_t kinds[] = {1, kOdd, stripe, 2 * stripe + 1};
    const std::uint64_t count = kinds[random_() % 4];
    // Few places, so that blocks are written again and again.
    std::uint64_t first = random_() % (3 * stripe);
    if (count >= stripe) first -= first % stripe;
    std::vector<WriteBlock> blocks;
    BlockMemory memory(count * kBlockBytes);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t block = first + i;
      fill_block(memory.block(i), block, ++version_);
      promises_[block].under_way = version_;
      blocks.push_back({block, memory.block(i)});
    }
    if (!array.write(blocks)) note("a write fails");
    for (const WriteBlock& block : blocks) {
      promises_[block.block].answered = promises_[block.block].under_way;
    }
  }

  // All that a cut during these commands can leave.
  void cut(const SimulatedDisks& disks, std::span<const DiskCommand> commands) {
    if (report_.violations != 0) return;
    ++report_.cuts;
    const std::vector<UnstableSector> sectors = disks.unstable(commands);
    const bool is_exhaustive =
        for_each_choice(sectors, options_.exhaustive_sectors, options_.samples, random_,
                        [&](const CutChoices& choices) { look(sectors, choices); });
    if (is_exhaustive) ++report_.exhaustive_cuts;
  }

  // One state of the disks, with each loss.
  void look(const std::vector<UnstableSector>& sectors, const CutChoices& choices) {
    if (report_.violations != 0) return;
    ++report_.states;
    for (const std::uint32_t missing : losses()) {
      crashed_.become(disks_, sectors, choices);
      crashed_.before_run = nullptr;
      for (std::uint32_t member = 0; member < options_.member_count; ++member) {
        if ((missing >> member & 1U) != 0) crashed_.set_present(member, false);
      }
      std::uint64_t nth = 0;
      if (options_.cuts_in_recovery != 0 && random_() % 8 == 0) {
        nth = 1 + random_() % 12;
        crashed_.before_run = [this, missing, &nth](std::span<const DiskCommand> commands) {
          if (nth != 0 && --nth == 0) cut_recovery(commands, missing);
        };
      }
      verify(crashed_, missing, "");
      crashed_.before_run = nullptr;
      if (report_.violations != 0) return;
    }
  }

  // A second cut, while the array is assembled after the first.
  void cut_recovery(std::span<const DiskCommand> commands, std::uint32_t missing) {
    const std::vector<UnstableSector> sectors = crashed_.unstable(commands);
    if (sectors.empty()) return;
    CutChoices choices(sectors.size(), 0);
    for (std::uint32_t sample = 0; sample < options_.cuts_in_recovery; ++sample) {
      choose(sectors, choices, static_cast<std::uint32_t>(random_()), random_);
      nested_.become(crashed_, sectors, choices);
      for (std::uint32_t member = 0; member < options_.member_count; ++member) {
        if ((missing >> member & 1U) != 0) nested_.set_present(member, false);
      }
      ++report_.nested;
      verify(nested_, missing, " after a second cut");
    }
  }

  void verify(SimulatedDisks& disks, std::uint32_t missing, const std::string& when) {
    ++report_.assemblies;
    AssemblyReport assembly;
    Result<RaidArray> array = RaidArray::assemble(disks, raid_options(options_), assembly);
    disks.before_run = nullptr;  // what is written from here on nobody has promised
    if (!array) {
      // Before it is there, nothing was promised of it.
      if (promises_.empty()) return;
      note("assembling fails" + when + ": " + array.error().doing + ", missing " +
           std::to_string(missing));
      return;
    }
    report_.replayed_groups += array->counters().replayed_groups;
    if (promises_.empty()) return;
    check_blocks(*array, missing, when);
    const std::uint64_t wrong_before = array->counters().repaired_blocks;
    if (!array->scrub(0, kRows)) note("scrubbing fails" + when);
    const RaidCounters& counters = array->counters();
    if (counters.inconsistent_rows != 0 || counters.lost_blocks != 0 ||
        counters.repaired_blocks != 0 || wrong_before != 0) {
      note("rows are not consistent" + when + ": parity " +
           std::to_string(counters.inconsistent_rows) + ", lost " +
           std::to_string(counters.lost_blocks) + ", changed " +
           std::to_string(counters.repaired_blocks) + ", missing " + std::to_string(missing));
    }
    if (options_.returns_stale && missing != 0 && random_() % 4 == 0) {
      return_stale(disks, *array, missing);
    }
  }

  // Who was missing comes back as it was, after others were written without it.
  void return_stale(SimulatedDisks& disks, RaidArray& array, std::uint32_t missing) {
    const std::uint64_t block = random_() % promises_.size();
    const Promise kept = promises_[block];
    BlockMemory memory(kBlockBytes);
    fill_block(memory.block(0), block, version_ + 1);
    const WriteBlock write{block, memory.block(0)};
    if (!array.write({&write, 1})) note("a degraded write fails");
    promises_[block] = {version_ + 1, version_ + 1};
    for (std::uint32_t member = 0; member < options_.member_count; ++member) {
      disks.set_present(member, true);
    }
    AssemblyReport assembly;
    Result<RaidArray> again = RaidArray::assemble(disks, raid_options(options_), assembly);
    if (!again) {
      note(std::string("assembling with a stale member fails: ") + again.error().doing);
    } else {
      check_blocks(*again, missing, " with a stale member back");
    }
    promises_[block] = kept;
  }

  void check_blocks(RaidArray& array, std::uint32_t missing, const std::string& when) {
    BlockMemory memory(promises_.size() * kBlockBytes);
    std::vector<ReadBlock> reads;
    for (std::uint64_t block = 0; block < promises_.size(); ++block) {
      reads.push_back({block, memory.block(block), 0});
    }
    array.read(reads);
    for (std::uint64_t block = 0; block < promises_.size(); ++block) {
      ++report_.blocks_checked;
      const std::optional<std::uint64_t> found = version_in(memory.block(block), block);
      const Promise& promise = promises_[block];
      if (reads[block].error == 0 && found &&
          (*found == promise.answered || *found == promise.under_way)) {
        continue;
      }
      note("block " + std::to_string(block) + when + " is " +
           (reads[block].error != 0 ? "unreadable"
            : found                 ? "version " + std::to_string(*found)
                                    : "no version at all") +
           " and not " + std::to_string(promise.answered) + " or " +
           std::to_string(promise.under_way) + "; missing " + std::to_string(missing) + ", seed " +
           std::to_string(options_.seed));
      return;
    }
  }

  PowerCutOptions options_;
  std::mt19937_64 random_;
  std::uint64_t disk_bytes_;
  SimulatedDisks disks_;
  SimulatedDisks crashed_;
  SimulatedDisks nested_;
  std::vector<Promise> promises_;
  std::uint64_t version_ = 0;
  std::uint32_t out_of_sync_ = 0;  // members whose blocks are not what they should be
  PowerCutReport report_;
};

}  // namespace

PowerCutReport run_power_cuts(const PowerCutOptions& options) {
  return PowerCuts(options).run();
}

}  // namespace slipring::array::test

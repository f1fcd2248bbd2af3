#include "tests/pipelines/array/power/stack_cuts.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <fstream>
#include <map>

#include "pipelines/array/raid/block_memory.h"
#include "pipelines/array/raid/raid_array.h"
#include "tests/pipelines/array/nbd/nbd_client.h"
#include "tests/pipelines/array/power/promises.h"
#include "tests/pipelines/array/raid/cut_choices.h"

namespace slipring::array::test {
namespace {

constexpr std::uint32_t kReadBytes = 256 * 1024;

class StackCuts {
 public:
  StackCuts(const RecordedRun& run, const StackCutOptions& options)
      : run_(run),
        options_(options),
        events_(run.record().events()),
        random_(run.options().seed),
        disk_bytes_(std::uint64_t{run.options().disk_mib} << 20),
        disks_(RecordedRun::kDisks, disk_bytes_, options.sector_bytes),
        crashed_(RecordedRun::kDisks, disk_bytes_, options.sector_bytes),
        promises_(run.requests(), run.size_bytes() / kSectorBytes) {
    const std::uint32_t spare = run.options().level == 5 ? 1 : 2;
    for (std::uint32_t mask = 0; mask < 1U << RecordedRun::kDisks; ++mask) {
      if (static_cast<std::uint32_t>(std::popcount(mask)) <= spare) losses_.push_back(mask);
    }
  }

  StackCutReport go() {
    report_.instants = events_.size();
    for (const PowerEvent& event : events_) {
      take(event);
      if (report_.violations != 0) break;
      if (is_drawn(event)) cut();
    }
    return report_;
  }

 private:
  void note(const std::string& what) {
    if (report_.violations++ == 0) {
      report_.first_violation = what + "; cut " + std::to_string(report_.cuts) + ", seed " +
                                std::to_string(run_.options().seed);
    }
  }

  // After a promise a cut is likelier to hurt.
  bool is_drawn(const PowerEvent& event) {
    if (options_.cuts == 0) return true;
    const std::uint64_t weight = event.kind == EventKind::kAnswered ? 4 : 1;
    return random_() % events_.size() < options_.cuts * weight;
  }

  void take(const PowerEvent& event) {
    switch (event.kind) {
      case EventKind::kAsked:
        promises_.asked(event.begin);
        return;
      case EventKind::kAnswered:
        promises_.answered(event.begin);
        return;
      case EventKind::kEnds:
        end(event);
        return;
      default:
        under_way_.emplace(event.position, event);
    }
  }

  void end(const PowerEvent& event) {
    const auto found = under_way_.find(event.begin);
    REQUIRE(found != under_way_.end());
    const PowerEvent begun = found->second;
    under_way_.erase(found);
    if (event.error != 0) note("a disk refused: " + std::to_string(event.error));
    DiskCommand command = command_of(begun);
    // A sync covers what had ended before it began: so that is all there is.
    if (begun.kind == EventKind::kSyncBegins && last_write_end_[begun.member] > begun.position) {
      note("a write ended while the disk was synced, which this model does not know");
    }
    if (begun.kind != EventKind::kSyncBegins) last_write_end_[begun.member] = event.position;
    disks_.run({&command, 1});
  }

  [[nodiscard]] DiskCommand command_of(const PowerEvent& begun) const {
    DiskCommand command;
    command.operation = begun.kind == EventKind::kSyncBegins ? DiskOperation::kSync
                        : begun.kind == EventKind::kDurableWriteBegins
                            ? DiskOperation::kWriteDurable
                        : begun.kind == EventKind::kZeroBegins ? DiskOperation::kZero
                                                               : DiskOperation::kWrite;
    command.member = begun.member;
    command.offset_bytes = begun.offset_bytes;
    command.length_bytes = begun.length_bytes;
    command.from = run_.record().data_of(begun);
    return command;
  }

  void cut() {
    ++report_.cuts;
    std::vector<DiskCommand> commands;
    for (const auto& [position, begun] : under_way_) commands.push_back(command_of(begun));
    const std::vector<UnstableSector> sectors = disks_.unstable(commands);
    const bool is_exhaustive =
        for_each_choice(sectors, options_.exhaustive_sectors, options_.samples, random_,
                        [&](const CutChoices& choices) { look(sectors, choices); });
    if (is_exhaustive) ++report_.exhaustive_cuts;
  }

  void look(const std::vector<UnstableSector>& sectors, const CutChoices& choices) {
    if (report_.violations != 0) return;
    ++report_.states;
    const bool is_started = report_.starts < options_.starts && promises_.has_any() &&
                            report_.cuts >= (report_.starts + 1) * cuts_a_start();
    if (is_started) {
      crashed_.become(disks_, sectors, choices);
      start_array(losses_[random_() % losses_.size()]);
    }
    for (const std::uint32_t missing : losses_) {
      crashed_.become(disks_, sectors, choices);
      for (std::uint32_t member = 0; member < RecordedRun::kDisks; ++member) {
        if ((missing >> member & 1U) != 0) crashed_.set_present(member, false);
      }
      assemble(missing);
      if (report_.violations != 0) return;
    }
  }

  // So that the starts are spread over the run.
  [[nodiscard]] std::uint64_t cuts_a_start() const {
    const std::uint64_t cuts = options_.cuts == 0 ? events_.size() : options_.cuts;
    return cuts / (options_.starts + 1);
  }

  [[nodiscard]] RaidOptions raid_options() const {
    RaidOptions raid;
    raid.shape.level = static_cast<RaidLevel>(run_.options().level);
    raid.shape.member_count = RecordedRun::kDisks;
    raid.shape.chunk_rows = RecordedRun::kChunkKib * 1024 / kBlockBytes;
    raid.log_bytes = std::uint64_t{RecordedRun::kLogMib} << 20;
    raid.new_id = {1};
    return raid;
  }

  void assemble(std::uint32_t missing) {
    ++report_.assemblies;
    AssemblyReport assembly;
    Result<RaidArray> array = RaidArray::assemble(crashed_, raid_options(), assembly);
    const std::string when = ", missing " + std::to_string(missing);
    if (!array) {
      // Before it is there, nothing was promised of it.
      if (promises_.has_any()) note("assembling fails" + when + ": " + array.error().doing);
      return;
    }
    if (!promises_.has_any()) return;
    const std::uint64_t blocks = array->block_count();
    BlockMemory memory(blocks * kBlockBytes);
    std::vector<ReadBlock> reads;
    for (std::uint64_t block = 0; block < blocks; ++block) {
      reads.push_back({block, memory.block(block), 0});
    }
    array->read(reads);
    for (const ReadBlock& read : reads) {
      if (read.error != 0) note("block " + std::to_string(read.block) + " is lost" + when);
    }
    compare(memory.block(0), 0, blocks * kBlockBytes / kSectorBytes, when);
    const std::uint64_t repaired = array->counters().repaired_blocks;
    if (!array->scrub(0, array->layout().shape().row_count)) note("scrubbing fails" + when);
    const RaidCounters& counters = array->counters();
    if (counters.inconsistent_rows != 0 || counters.lost_blocks != 0 || repaired != 0 ||
        counters.repaired_blocks != 0) {
      note("rows are not consistent" + when);
    }
  }

  void compare(const std::byte* bytes, std::uint64_t first, std::uint64_t count,
               const std::string& when) {
    for (std::uint64_t i = 0; i < count; ++i) {
      ++report_.sectors_compared;
      if (promises_.is_safe(first + i)) ++report_.safe_sectors;
      if (const auto fault = promises_.fault_of(first + i, bytes + i * kSectorBytes)) {
        note(*fault + when);
        return;
      }
    }
  }

  // The whole array, on files that hold what the disks would.
  void start_array(std::uint32_t missing) {
    ++report_.starts;
    const slipring::test::SocketFolder folder;
    auto settings = run_.settings(folder);
    for (std::uint32_t member = 0; member < RecordedRun::kDisks; ++member) {
      const std::string disk = "disk" + std::to_string(member);
      settings.emplace_back(disk + ".create_mib", "0");
      if ((missing >> member & 1U) != 0) continue;
      const std::vector<std::byte> bytes = crashed_.content(member);
      std::ofstream(folder.file(disk), std::ios::binary)
          .write(reinterpret_cast<const char*>(bytes.data()),
                 static_cast<std::streamsize>(bytes.size()));
    }
    slipring::test::ServedArray array("array.toml", settings);
    auto client = slipring::test::NbdClient::connect(array.socket());
    REQUIRE(client.has_value());
    REQUIRE_MESSAGE(client->enter("", false), array.log());
    const std::string when = ", the array started without " + std::to_string(missing);
    for (std::uint64_t at = 0; at < run_.size_bytes(); at += kReadBytes) {
      const auto length =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(kReadBytes, run_.size_bytes() - at));
      REQUIRE(client->request(0, 0, at, at, length));
      const auto reply = client->next_reply();
      if (!reply || reply->error != 0 || reply->data.empty()) {
        note("a read fails" + when + ": " + array.log());
        return;
      }
      compare(reinterpret_cast<const std::byte*>(reply->data.begin()->second.data()),
              at / kSectorBytes, length / kSectorBytes, when);
    }
    if (array.stop() != 0) note("the array does not end well" + when + ": " + array.log());
  }

  const RecordedRun& run_;
  StackCutOptions options_;
  std::vector<PowerEvent> events_;
  std::mt19937_64 random_;
  std::uint64_t disk_bytes_;
  SimulatedDisks disks_;
  SimulatedDisks crashed_;
  Promises promises_;
  std::vector<std::uint32_t> losses_;
  std::map<std::uint64_t, PowerEvent> under_way_;
  std::uint64_t last_write_end_[RecordedRun::kDisks] = {};
  StackCutReport report_;
};

}  // namespace

void StackCutReport::add(const StackCutReport& other) {
  instants += other.instants;
  cuts += other.cuts;
  exhaustive_cuts += other.exhaustive_cuts;
  states += other.states;
  assemblies += other.assemblies;
  sectors_compared += other.sectors_compared;
  safe_sectors += other.safe_sectors;
  starts += other.starts;
  violations += other.violations;
  if (first_violation.empty()) first_violation = other.first_violation;
}

StackCutReport cut_everywhere(const RecordedRun& run, const StackCutOptions& options) {
  return StackCuts(run, options).go();
}

}  // namespace slipring::array::test

// The RAID stage's program: its links, its disks, its options.

#include <errno.h>
#include <sys/random.h>

#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/array/block_request.h"
#include "pipelines/array/planted_option.h"
#include "pipelines/array/pooled_links.h"
#include "pipelines/array/raid/link_disks.h"
#include "pipelines/array/raid/raid_array.h"
#include "pipelines/array/raid/raid_stage.h"
#include "pipelines/link/link_layout.h"
#include "pipelines/stage/error_text.h"
#include "pipelines/stage/stage.h"
#include "pipelines/stage/stage_program.h"
#include "platform/process/proc_file.h"

namespace slipring::array {
namespace {

// Ports are named once, for the whole run.
struct DiskPorts {
  std::array<std::string, kMemberCountMax> requests;
  std::array<std::string, kMemberCountMax> replies;
  DiskPorts() {
    for (std::uint32_t i = 0; i < kMemberCountMax; ++i) {
      requests[i] = "disk" + std::to_string(i);
      replies[i] = "disk" + std::to_string(i) + "_replies";
    }
  }
};
const DiskPorts& disk_ports() {
  static const DiskPorts ports;
  return ports;
}

StageDescription describe() {
  StageDescription description;
  description.program = "raid";
  description.purpose = "RAID-0, 5 or 6 over the disks' stages";
  description.ports = {
      {"reads", PortKind::kInput, true,
       "BlockRequests kRead, kBlockStatus and kDescribe, of whole blocks"},
      {"read_data", PortKind::kOutput, true, "BlockReplies, with a pool"},
      {"writes", PortKind::kInput, true,
       "BlockRequests kWrite, kWriteZeroes and kFlush, with a pool"},
      {"write_acks", PortKind::kOutput, true, "BlockReplies"},
      {"control", PortKind::kCommands, false,
       "'fail N', 'replace N' (its disk was replaced: rebuild it), 'scrub', 'checkpoint'"},
  };
  for (std::uint32_t i = 0; i < kMemberCountMax; ++i) {
    description.ports.push_back(
        {disk_ports().requests[i], PortKind::kOutput, false, "DiskRequests, with a pool"});
    description.ports.push_back(
        {disk_ports().replies[i], PortKind::kInput, false, "DiskReplies, with a pool"});
  }
  description.options = {
      {"level", "5", "0, 5 or 6"},
      {"chunk_kib", "64", "KiB of a chunk, 4 to 1024, of a new array"},
      {"log_mib", "64", "MiB of the log on each member, 1 to 1024, of a new array"},
      {"create", "true", "make an array when all members are blank"},
      {"planted", "none",
       "a deliberate fault, for tests: none, log-after-data, log-not-durable, no-checkpoint-sync"},
  };
  description.bell_order = BellOrder::kFence;
  return description;
}

bool are_links_fit(Stage& stage) {
  return has_slots(stage, "reads", stage.input("reads")->shape(), sizeof(BlockRequest)) &&
         has_pool(stage, "read_data", stage.output("read_data")->shape(), sizeof(BlockReply),
                  kBlockBufferBytes) &&
         has_pool(stage, "writes", stage.input("writes")->shape(), sizeof(BlockRequest),
                  kBlockBytes) &&
         has_slots(stage, "write_acks", stage.output("write_acks")->shape(), sizeof(BlockReply));
}

// False when a disk's links do not fit.
bool add_disks(Stage& stage, LinkDisks& disks) {
  for (std::uint32_t i = 0; i < kMemberCountMax; ++i) {
    LinkWriter* requests = stage.output(disk_ports().requests[i]);
    LinkReader* replies = stage.input(disk_ports().replies[i]);
    if (requests == nullptr && replies == nullptr) continue;
    if (requests == nullptr || replies == nullptr || disks.count() != i) {
      stage.log(Severity::kError,
                "disk %u: it wants links at both disk%u and disk%u_replies, and disks are numbered "
                "from 0 without gaps",
                i, i, i);
      return false;
    }
    if (!has_pool(stage, disk_ports().requests[i].c_str(), requests->shape(), sizeof(DiskRequest),
                  kDiskBufferBytesMin) ||
        !has_pool(stage, disk_ports().replies[i].c_str(), replies->shape(), sizeof(DiskReply),
                  kDiskBufferBytesMin)) {
      return false;
    }
    disks.add(*requests, *replies);
  }
  return true;
}

void say(Stage& stage, const RaidArray& array, const AssemblyReport& report) {
  for (std::uint32_t i = 0; i < array.layout().members(); ++i) {
    if (report.remarks[i] == nullptr) continue;
    stage.log(Severity::kWarning, "disk %u %s: the array runs without it", i, report.remarks[i]);
  }
  stage.log(Severity::kInfo,
            "%s array of %llu MiB on %u disks, epoch %llu, %llu log groups repeated",
            report.was_created ? "new" : "assembled",
            static_cast<unsigned long long>(array.block_count() * kBlockBytes >> 20),
            array.layout().members(), static_cast<unsigned long long>(array.epoch()),
            static_cast<unsigned long long>(array.counters().replayed_groups));
}

constexpr std::array kFaults{
    std::pair{"none", PlantedFault::kNone},
    std::pair{"log-after-data", PlantedFault::kLogAfterData},
    std::pair{"log-not-durable", PlantedFault::kLogNotDurable},
    std::pair{"no-checkpoint-sync", PlantedFault::kNoSyncAtCheckpoint},
};

// Memory that there is without pushing anybody out; without a kernel that says so, no limit.
std::uint64_t available_bytes() {
  Result<std::string> text = read_proc_file("/proc/meminfo");
  const auto field = text ? proc_field(*text, "MemAvailable") : std::nullopt;
  const auto kib = field ? leading_number(*field) : std::nullopt;
  return kib && *kib < UINT64_MAX / 1024 ? *kib * 1024 : UINT64_MAX;
}

int serve(Stage& stage) {
  RaidCommands commands(stage);
  LinkDisks disks(stage, commands);
  if (!are_links_fit(stage) || !add_disks(stage, disks)) return 2;
  const std::string level = stage.option("level");
  RaidOptions options;
  if (level != "0" && level != "5" && level != "6") {
    stage.log(Severity::kError, "option level: '%s' is none of 0, 5, 6", level.c_str());
    return 2;
  }
  options.shape.level = static_cast<RaidLevel>(level[0] - '0');
  options.shape.member_count = disks.count();
  options.shape.chunk_rows =
      static_cast<std::uint32_t>(stage.option_number("chunk_kib", 4, 1024)) * 1024 / kBlockBytes;
  options.log_bytes = static_cast<std::uint64_t>(stage.option_number("log_mib", 1, 1024)) << 20;
  options.creates = stage.option_flag("create");
  if (!take_planted(stage, kFaults, options.planted)) return 2;
  if (getrandom(options.new_id.data(), options.new_id.size(), 0) !=
      static_cast<ssize_t>(options.new_id.size())) {
    stage.log(Severity::kError, "no random bytes for an array's id: %s", strerror(errno));
    return 1;
  }
  options.checksum_bytes_max = available_bytes();
  disks.identify();
  AssemblyReport report;
  Result<RaidArray> array = RaidArray::assemble(disks, options, report);
  if (!array) {
    for (std::uint32_t i = 0; i < kMemberCountMax; ++i) {
      if (report.remarks[i] != nullptr) {
        stage.log(Severity::kError, "disk %u %s", i, report.remarks[i]);
      }
    }
    stage.log(Severity::kError, "no array: %s", describe_error(array.error()).c_str());
    return 2;
  }
  say(stage, *array, report);
  return RaidStage(stage, commands, std::move(array).value()).run();
}

}  // namespace
}  // namespace slipring::array

int main(int argc, char** argv) {
  return slipring::run_stage(argc, argv, slipring::array::describe(), slipring::array::serve);
}

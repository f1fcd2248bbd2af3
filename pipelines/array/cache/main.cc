// The write-back cache's program: its memory, its links, its options.
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/array/cache/cache_stage.h"
#include "pipelines/array/planted_option.h"
#include "pipelines/array/pooled_links.h"
#include "pipelines/link/link_layout.h"
#include "pipelines/stage/error_text.h"
#include "pipelines/stage/stage_program.h"

namespace slipring::array {
namespace {

constexpr std::string_view kMemoryName = "cache";

StageDescription describe() {
  StageDescription description;
  description.program = "cache";
  description.purpose = "write-back cache of 4 KiB blocks, in memory that outlives it";
  description.ports = {
      {"requests", PortKind::kInput, true, "BlockRequests, slots, with a pool"},
      {"replies", PortKind::kOutput, true, "BlockReplies, slots, with a pool"},
      {"array_reads", PortKind::kOutput, true, "BlockRequests to the RAID stage"},
      {"read_data", PortKind::kInput, true, "its BlockReplies, with a pool"},
      {"array_writes", PortKind::kOutput, true, "BlockRequests to the RAID stage, with a pool"},
      {"write_acks", PortKind::kInput, true, "its BlockReplies"},
      {"aborts", PortKind::kInput, false, "BlockAborts, slots"},
      {"control", PortKind::kCommands, false, "'flush': write everything that is dirty"},
  };
  description.options = {
      {"memory_mib", "64", "MiB of blocks, 4 to 1048576"},
      {"dirty_max_percent", "75", "of the memory, 1 to 95: above that no writes are taken"},
      {"dirty_start_percent", "25", "of the memory, 0 to 95: above that blocks are written"},
      {"idle_write_ms", "500", "without requests, after which all dirty blocks are written"},
      {"stripe_kib", "192", "KiB of data in a stripe of the array, 4 to 16384: written together"},
      {"volumes", "rest", "sizes of the exports, in their order, e.g. 10GiB,4GiB,rest"},
      {"planted", "none",
       "a deliberate fault, for tests: none, replay, flush-no-wait, "
       "flush-forgets, no-fua, forget, write-during-zeroes"},
  };
  description.keeps_descriptors = true;
  description.bell_order = BellOrder::kFence;
  return description;
}

bool are_links_fit(Stage& stage) {
  const LinkReader* aborts = stage.input("aborts");
  if (aborts != nullptr && !has_slots(stage, "aborts", aborts->shape(), sizeof(BlockAbort))) {
    return false;
  }
  return have_pools(stage, stage.input("requests")->shape(), stage.output("replies")->shape(),
                    {sizeof(BlockRequest), sizeof(BlockReply), kBlockBufferBytes}) &&
         has_slots(stage, "array_reads", stage.output("array_reads")->shape(),
                   sizeof(BlockRequest)) &&
         has_pool(stage, "read_data", stage.input("read_data")->shape(), sizeof(BlockReply),
                  kBlockBufferBytes) &&
         has_pool(stage, "array_writes", stage.output("array_writes")->shape(),
                  sizeof(BlockRequest), kBlockBytes) &&
         has_slots(stage, "write_acks", stage.input("write_acks")->shape(), sizeof(BlockReply));
}

Result<CacheMemory> take_memory(Stage& stage, CacheFault planted) {
  for (KeptDescriptor& kept : stage.keeper().take_inherited()) {
    if (kept.name != kMemoryName || planted == CacheFault::kForgetsMemory) continue;
    return CacheMemory::adopt(std::move(kept.descriptor), MemoryLock::kTry);
  }
  const auto slots = static_cast<std::uint64_t>(stage.option_number("memory_mib", 4, 1 << 20))
                     << 20;
  Result<CacheMemory> made = CacheMemory::make(slots / kBlockBytes, MemoryLock::kTry);
  if (!made) return made;
  if (const Status kept = stage.keeper().keep(kMemoryName, made->fd()); !kept) return kept.error();
  if (!stage.keeper().is_open()) {
    stage.log(Severity::kWarning,
              "started without a runner: what is in the cache does not outlive this process");
  }
  return made;
}

constexpr std::array kFaults{
    std::pair{"none", CacheFault::kNone},
    std::pair{"replay", CacheFault::kReplayIgnoresSequence},
    std::pair{"flush-no-wait", CacheFault::kFlushDoesNotWait},
    std::pair{"flush-forgets", CacheFault::kFlushForgetsDirty},
    std::pair{"no-fua", CacheFault::kIgnoresFua},
    std::pair{"forget", CacheFault::kForgetsMemory},
    std::pair{"write-during-zeroes", CacheFault::kWritesDuringZeroes},
};

int serve(Stage& stage) {
  CacheOptions options;
  options.dirty_max_percent =
      static_cast<std::uint64_t>(stage.option_number("dirty_max_percent", 1, 95));
  options.dirty_start_percent =
      static_cast<std::uint64_t>(stage.option_number("dirty_start_percent", 0, 95));
  options.idle_write_ns =
      static_cast<std::uint64_t>(stage.option_number("idle_write_ms", 1, 3'600'000)) * 1'000'000;
  options.stripe_blocks =
      static_cast<std::uint64_t>(stage.option_number("stripe_kib", 4, 16384)) * 1024 / kBlockBytes;
  std::string fault;
  std::optional<std::vector<std::uint64_t>> volumes = parse_volumes(stage.option("volumes"), fault);
  if (!volumes) {
    stage.log(Severity::kError, "option volumes: %s", fault.c_str());
    return 2;
  }
  options.volume_sizes = std::move(*volumes);
  if (!are_links_fit(stage) || !take_planted(stage, kFaults, options.planted)) return 2;
  Result<CacheMemory> memory = take_memory(stage, options.planted);
  if (!memory) {
    stage.log(Severity::kError, "no memory for the cache: %s",
              describe_error(memory.error()).c_str());
    return 1;
  }
  CacheRebuild rebuild;
  BlockCache cache(memory->bytes(), rebuild);
  stage.gauge("is_locked").set(memory->is_locked() ? 1 : 0);
  if (stage.incarnation() > 1) {
    stage.log(Severity::kInfo, "taken over: %llu clean and %llu dirty blocks, %llu superseded",
              static_cast<unsigned long long>(rebuild.clean_count),
              static_cast<unsigned long long>(rebuild.dirty_count),
              static_cast<unsigned long long>(rebuild.superseded_count));
  }
  if (rebuild.damaged_count != 0) {
    stage.log(Severity::kError, "%llu blocks in the cache are not what their checksums say",
              static_cast<unsigned long long>(rebuild.damaged_count));
  }
  return CacheStage(stage, cache, options).run();
}

}  // namespace
}  // namespace slipring::array

int main(int argc, char** argv) {
  return slipring::run_stage(argc, argv, slipring::array::describe(), slipring::array::serve);
}

// The broadcast ring on the model of the C++ memory model, with deaths, and its mutants.

#include <doctest/doctest.h>

#include <cstdint>
#include <string>

#include "tests/model/broadcast_scene.h"
#include "tests/model/gate.h"

namespace slipring::model {
namespace {

using Read = ReadStep;
using Write = WriteStep;
using Policy = BroadcastPolicy;

Scene scene(const char* name, std::uint32_t deaths, const BroadcastBounds& shape) {
  Bounds bounds;
  bounds.deaths = deaths;
  return scene_of<BroadcastPlay>(name, bounds, shape);
}

constexpr Write kPush = Write::kPush;
constexpr std::uint64_t kBeforeWrap = (std::uint64_t{1} << 32) - 2;

std::vector<Scene> larger_scenes() {
  return {
      scene("block, leave and join again", 0,
            {.policy = Policy::kBlock,
             .writes = {kPush, kPush, kPush, kPush, kPush},
             .reads = {{Read::kLeave, Read::kJoinNewest}}}),
      scene("overwrite, join, 1 death", 1,
            {.writes = {kPush, kPush},
             .reads = {{Read::kJoinNewest, Read::kPop}},
             .are_members = false,
             .has_heirs = true}),
      scene("block, dropped", 0,
            {.policy = Policy::kBlock,
             .writes = {kPush, Write::kDrop, kPush, kPush},
             .reads = {{Read::kPop}}}),
      scene("evict at a lag of 1", 0,
            {.policy = Policy::kEvict,
             .writes = {kPush, kPush, kPush},
             .reads = {{Read::kPop}},
             .lag_limit = 1}),
      scene("block, 1 death", 1,
            {.policy = Policy::kBlock,
             .writes = {kPush, kPush},
             .reads = {{Read::kCopy}},
             .start_position = kBeforeWrap,
             .has_heirs = true}),
  };
}

// Two slots.
std::vector<Scene> scenes() {
  std::vector<Scene> all = {
      scene("block, in place", 0,
            {.policy = Policy::kBlock,
             .writes = {Write::kReserve, Write::kReserve, Write::kReserve},
             .reads = {{Read::kPeek}}}),
      scene("block, leave", 0,
            {.policy = Policy::kBlock,
             .writes = {kPush, kPush, Write::kPushWaiting},
             .reads = {{Read::kPeek, Read::kLeave}}}),
      scene("block, abort", 0,
            {.policy = Policy::kBlock,
             .writes = {kPush, Write::kAbort, kPush},
             .reads = {{Read::kSkip, Read::kPop}}}),
      scene("block, a writer that waits", 0,
            {.policy = Policy::kBlock,
             .writes = {kPush, kPush, Write::kPushWaiting},
             .reads = {{Read::kPopWaiting}}}),
      scene("overwrite, copy", 0, {.writes = {kPush, kPush, kPush}, .reads = {{Read::kCopy}}}),
      scene("overwrite", 0, {.writes = {kPush, kPush, kPush}, .reads = {{Read::kPop}}}),
      scene("evict, copy", 0,
            {.policy = Policy::kEvict, .writes = {kPush, kPush, kPush}, .reads = {{Read::kCopy}}}),
      scene("block, at 2^32 - 2", 0,
            {.policy = Policy::kBlock,
             .writes = {kPush, kPush, kPush},
             .reads = {{Read::kPop, Read::kPop}},
             .start_position = kBeforeWrap}),
      scene("evict", 0,
            {.policy = Policy::kEvict,
             .writes = {kPush, kPush, kPush},
             .reads = {{Read::kPop}},
             .start_position = kBeforeWrap}),
      scene("block, join", 0,
            {.policy = Policy::kBlock,
             .writes = {kPush, kPush, kPush},
             .reads = {{Read::kJoinNewest, Read::kPop}},
             .are_members = false}),
      scene("overwrite, join at the oldest", 0,
            {.writes = {kPush, kPush, kPush},
             .reads = {{Read::kJoinOldest, Read::kPop}},
             .are_members = false}),
      scene("overwrite, 2 pops", 0,
            {.writes = {kPush, kPush, kPush},
             .reads = {{Read::kPop, Read::kPop}},
             .start_position = kBeforeWrap}),
  };
  const std::vector<Scene> larger = larger_scenes();
  all.insert(all.end(), larger.begin(), larger.end());
  return all;
}

// Why: core/ORDERING.md, "Mutants that survive, and why".
constexpr Survivor kSurvivors[] = {
    {"broadcast_reader.h was_evicted load acquire -> relaxed",
     "ordered by broadcast.V and broadcast.B"},
    {"broadcast_writer.h put_out store release -> relaxed",
     "ordered by broadcast.V and broadcast.B"},
    {"broadcast_reader.h finish store release -> relaxed", "done only says who is put out"},
    {"broadcast_writer.h done_of load acquire -> relaxed", "done only says who is put out"},
    {"broadcast_reader.h skip_aborted load acquire -> relaxed", "the state is only compared"},
    {"broadcast_reader.h join load acquire -> relaxed", "the state is only compared"},
    {"broadcast_writer.h drop_reader load seq_cst -> acquire", "the reader is dead, or lies"},
};

TEST_CASE(
    "broadcast: no message is torn, losses are exact, members are waited for, no mutant lives") {
  const GateResult result = run_gate(scenes(), kSurvivors, "core/ring/broadcast_");
  std::string table;
  for (const std::string& line : result.lines) table += line + '\n';
  MESSAGE(table, "mutants ", result.mutants, ", killed ", result.killed);
  for (const std::string& offence : result.offences) FAIL_CHECK(offence);
}

}  // namespace
}  // namespace slipring::model

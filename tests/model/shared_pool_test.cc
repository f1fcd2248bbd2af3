// The shared pool on the model of the C++ memory model, with deaths, and its mutants.

#include <doctest/doctest.h>

#include <cstdint>
#include <string>

#include "tests/model/gate.h"
#include "tests/model/shared_pool_scene.h"

namespace slipring::model {
namespace {

using Step = PoolStep;

Scene scene(const char* name, std::uint32_t deaths, const PoolBounds& shape) {
  Bounds bounds;
  bounds.deaths = deaths;
  return scene_of<SharedPoolPlay>(name, bounds, shape);
}

constexpr std::uint64_t kBeforeWrap = (std::uint64_t{1} << 44) - 2;
constexpr PoolTask kSend{Step::kSend, 0};
constexpr PoolTask kClaim{Step::kClaim, 0};
constexpr PoolTask kReuse{Step::kReuse, 0};
constexpr PoolTask kTakeBack{Step::kTakeBack, 0};
constexpr PoolTask kShare{Step::kShare, 0};
constexpr PoolTask kHold{Step::kHold, 0};
constexpr PoolTask kRetire{Step::kRetire, 0};

// One buffer, unless said otherwise: who takes it takes the one that others know.
std::vector<Scene> scenes() {
  return {
      scene("sent, claimed, used again", 0, {.scripts = {{kSend, kReuse}, {kClaim}}}),
      scene("two claim it", 0, {.scripts = {{kSend}, {kClaim}, {kClaim}}}),
      scene("two take it", 0, {.scripts = {{kReuse, kReuse}, {kReuse}}}),
      scene("shared, held, retired, used again", 0,
            {.scripts = {{kShare, kRetire, kReuse}, {kHold}}}),
      scene("refused by the ring", 0, {.scripts = {{kTakeBack, kReuse}, {kReuse}}}),
      scene("sent, claimed, used, round the wrap of names", 0,
            {.scripts = {{kSend, kReuse}, {kClaim, kReuse}}, .generation = kBeforeWrap}),
      scene("4 buffers and caches", 0,
            {.buffer_count = 4, .scripts = {{kReuse, kSend, kReuse}, {kClaim, kReuse}}}),
      scene("4 buffers, and a cache given back", 0,
            {.buffer_count = 4,
             .scripts = {{kReuse, {Step::kReturnCache, 0}},
                         {{Step::kKeep, 0}, {Step::kKeep, 0}, {Step::kKeep, 0}}}}),
      scene("sent and claimed, 1 death", 1,
            {.scripts = {{kSend}, {kClaim}}, .generation = kBeforeWrap, .heir_count = 1}),
      scene("sent, two claim it, 1 death", 1,
            {.scripts = {{kSend}, {kClaim}, {kClaim}}, .heir_count = 1}),
      scene("refused, 1 death", 1, {.scripts = {{kTakeBack}, {kReuse}}, .heir_count = 1}),
      scene("shared and held, 1 death, and the sharing ends with it", 1,
            {.scripts = {{kShare, kReuse}, {kHold}}, .heir_count = 1, .keeps_shared = false}),
      scene("shared, held, retired, used again, 1 death", 1,
            {.scripts = {{kShare, kRetire, kReuse}, {kHold}}, .heir_count = 1}),
      scene("sent and claimed, 2 deaths, heirs' included", 2,
            {.scripts = {{kSend}, {kClaim}}, .heir_count = 2}),
  };
}

// Why: core/ORDERING.md, "Mutants that survive, and why".
constexpr Survivor kSurvivors[] = {
    {"shared_pool.h note_sending store release -> relaxed",
     "a reaper is ordered after the dead; it binds the compiler"},
    {"shared_pool.h send compare_exchange relaxed -> load, then store",
     "nobody has a name that was never published"},
    {"pool_recovery.h recover_participant load acquire -> relaxed",
     "a reaper is ordered after the dead"},
    {"pool_recovery.h recover_participant store release -> relaxed",
     "the next reaper is ordered after this one"},
    {"pool_recovery.h recover_buffer compare_exchange release -> load, then store",
     "the lock keeps other reapers out"},
    {"pool_recovery.h free_buffer compare_exchange release -> load, then store",
     "the lock keeps other reapers out"},
};

TEST_CASE("shared pool: no buffer is lost, or written while it is read, no mutant lives") {
  const GateResult result = run_gate(scenes(), kSurvivors, "core/pool/");
  std::string table;
  for (const std::string& line : result.lines) table += line + '\n';
  MESSAGE(table, "mutants ", result.mutants, ", killed ", result.killed);
  for (const std::string& offence : result.offences) FAIL_CHECK(offence);
}

}  // namespace
}  // namespace slipring::model

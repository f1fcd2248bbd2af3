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

TEST_CASE("shared pool: no buffer is lost, or written while it is read, no mutant lives") {
  const GateCounts counts = go_through_gate(
      scenes(), {"core/pool/pool_recovery.h", "core/pool/pool_word.h", "core/pool/shared_pool.h"},
      {
          {"core/pool/shared_pool.h store release -> relaxed", 2},
          {"core/pool/shared_pool.h compare_exchange relaxed -> load, then store", 1},
          {"core/pool/pool_recovery.h load acquire -> relaxed", 1},
          {"core/pool/pool_recovery.h store release -> relaxed", 1},
          {"core/pool/pool_recovery.h compare_exchange release -> load, then store", 2},
      });
  MESSAGE("sites ", counts.site_count, ", mutants ", counts.mutant_count, ", caught ",
          counts.caught_count, ", states ", counts.state_count);
  for (const std::string& survivor : counts.survivors) MESSAGE("survives: ", survivor);
  for (const std::string& difference : counts.differences) FAIL_CHECK(difference);
}

}  // namespace
}  // namespace slipring::model

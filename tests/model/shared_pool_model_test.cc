// The shared pool on the model of the C++ memory model, with deaths, and its mutants.

#include <doctest/doctest.h>

#include <cstdint>
#include <string>

#include "tests/model/checks.h"
#include "tests/model/gate.h"
#include "tests/model/shared_pool_scenes.h"

namespace slipring::model {
namespace {

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
  check_gate(run_gate(shared_pool_scenes(), kSurvivors, "core/pool/"));
}

}  // namespace
}  // namespace slipring::model

// Many-to-many rings on the model of the C++ memory model, with deaths, and their mutants.

#include <doctest/doctest.h>

#include <string>

#include "tests/model/checks.h"
#include "tests/model/gate.h"
#include "tests/model/mpmc_bugs.h"
#include "tests/model/mpmc_scenes.h"

namespace slipring::model {
namespace {

// Why: core/ORDERING.md, "Mutants that survive, and why".
constexpr Survivor kSurvivors[] = {
    {"mpmc_record.h swap_slot compare_exchange acq_rel -> release",
     "the word was read with acquire just before"},
    {"mpmc_record.h write_finished store release -> relaxed",
     "a reaper is ordered after the dead; it binds the compiler"},
    {"mpmc_record.h read_finished load acquire -> relaxed", "a reaper is ordered after the dead"},
};

TEST_CASE("mpmc: nothing is lost, doubled or overtaken, full and empty are true, no mutant lives") {
  check_gate(run_gate(mpmc_scenes(), kSurvivors, "mpmc_record.h"));
}

TEST_CASE("mpmc: whoever stops for ever holds up nobody") {
  for (const Scene& one : mpmc_stop_scenes()) check_scene(one);
}

template <MpmcBug bug>
void is_found(const char* name, const MpmcBounds& shape) {
  const Found found = explore(scene_of<MpmcPlay<BuggyMemory<bug>>>(name, Bounds{}, shape));
  MESSAGE(std::string(name), ": ", to_string(found));
  CHECK_FALSE(found.wrong.empty());
}

TEST_CASE("mpmc: planted rules that do not prove the position are found") {
  const MpmcBounds two_producers{.slot_count = 2, .pushes = {1, 1}, .pops = {2}};
  const MpmcBounds two_consumers{.slot_count = 2, .pushes = {2}, .pops = {1, 1}, .tells = true};
  is_found<MpmcBug::kAdoptLap>("the slot's own lap is adopted", two_producers);
  is_found<MpmcBug::kOtherIsFull>("what is not expected is full", two_producers);
  is_found<MpmcBug::kAnyEmpty>("an empty slot is an empty ring", two_consumers);
}

}  // namespace
}  // namespace slipring::model

// Many-to-many rings on the model of the C++ memory model, with deaths, and their mutants.

#include <doctest/doctest.h>

#include <string>

#include "tests/model/gate.h"
#include "tests/model/mpmc_bugs.h"
#include "tests/model/mpmc_scene.h"

namespace slipring::model {
namespace {

Scene scene(const char* name, std::uint32_t deaths, const MpmcBounds& shape,
            std::uint32_t stops = 0) {
  Bounds bounds;
  bounds.deaths = deaths;
  bounds.stops = stops;
  return scene_of<MpmcPlay<>>(name, bounds, shape);
}

// Small ones first: most mutants meet their end there.
std::vector<Scene> scenes() {
  return {
      scene("1P x 1C, 1 slot", 0, {.pushes = {2}, .pops = {2}}),
      scene("2P x 1C, 2 slots", 0, {.slot_count = 2, .pushes = {1, 1}, .pops = {2}}),
      scene("2P x 1C, 1 slot", 0, {.pushes = {1, 1}, .pops = {2}}),
      scene("2P x 1C, 2 slots, 1 death, judged in the end", 1,
            {.slot_count = 2, .pushes = {1, 1}, .pops = {2}}),
      scene("1P x 1C, 2 slots, round the wrap of the state", 0,
            {.slot_count = 2, .pushes = {3}, .pops = {3}, .before_wrap = 2}),
      scene("1P x 2C, 1 slot", 0, {.pushes = {2}, .pops = {1, 1}}),
      scene("1P x 1C, 2 slots, batches of 2, 1 death and a successor", 1,
            {.slot_count = 2, .pushes = {2}, .pops = {2}, .batch = 2, .has_successors = true}),
      scene("1P x 2C, 2 slots, who know of each other", 0,
            {.slot_count = 2, .pushes = {2}, .pops = {1, 1}, .tells = true}),
      scene("1P x 1C, 1 slot, 1 death and a successor", 1,
            {.pushes = {2}, .pops = {2}, .has_successors = true}),
      scene("2P x 1C, 1 slot, the first producer dies and has a successor", 1,
            {.pushes = {1, 1}, .pops = {2}, .mortals = 1, .has_successors = true}),
  };
}

// Why: core/ORDERING.md, "Mutants that survive, and why".
constexpr Survivor kSurvivors[] = {
    {"mpmc_record.h swap_slot compare_exchange acq_rel -> release",
     "the word was read with acquire just before"},
    {"mpmc_record.h write_finished store release -> relaxed",
     "a reaper is ordered after the dead; it binds the compiler"},
    {"mpmc_record.h read_finished load acquire -> relaxed", "a reaper is ordered after the dead"},
};

TEST_CASE("mpmc: nothing is lost, doubled or overtaken, full and empty are true, no mutant lives") {
  const GateResult result = run_gate(scenes(), kSurvivors, "mpmc_record.h");
  std::string table;
  for (const std::string& line : result.lines) table += line + '\n';
  MESSAGE(table, "mutants ", result.mutants, ", killed ", result.killed);
  for (const std::string& offence : result.offences) FAIL_CHECK(offence);
}

TEST_CASE("mpmc: two of each and a death; and whoever stops for ever holds up nobody") {
  const MpmcBounds two_of_each{.pushes = {1, 1}, .pops = {1, 1}};
  for (const Scene& one : {
           scene("2P x 1C, 1 slot, 1 stop", 0, {.pushes = {1, 1}, .pops = {2}}, 1),
           scene("1P x 2C, 1 slot, 1 stop", 0, {.pushes = {2}, .pops = {1, 1}}, 1),
           scene("2P x 1C, 1 slot, 1 death and 1 stop", 1, {.pushes = {1, 1}, .pops = {2}}, 1),
           scene("2P x 2C, 1 slot", 0, two_of_each),
           scene("2P x 2C, 1 slot, 1 death, judged in the end", 1, two_of_each),
           scene("2P x 2C, 2 slots, 1 death, judged in the end", 1,
                 {.slot_count = 2, .pushes = {1, 1}, .pops = {1, 1}}),
       }) {
    const Found found = explore(one);
    MESSAGE(std::string(one.name), ": ", to_string(found));
    CHECK_MESSAGE(found.wrong.empty(), found.wrong, "\n", found.story);
    CHECK(found.is_complete);
  }
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

// Lanes with bells and merged lanes on the memory model, and every mutant of their own code.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/model/gate.h"
#include "tests/model/lanes_play.h"

namespace slipring::model {
namespace {

// Three participants who do not hear of each other have many states: bounded, as stated.
Scene lanes(const char* name, const LanesPlan& plan, std::uint32_t preemptions) {
  Bounds bounds;
  bounds.deaths = plan.deaths;
  bounds.preemptions = preemptions;
  bounds.states = 150'000;
  return scene_of<LanesPlay>(name, bounds, plan);
}

TEST_CASE("model: lanes, and every mutant of bells and rounds") {
  LanesPlan bells;
  LanesPlan merged;
  merged.merges = true;
  const std::vector<Scene> scenes{lanes("bells alone, 1 preemption", bells, 1),
                                  lanes("bells alone, 2 preemptions", bells, 2),
                                  lanes("merged, 2 preemptions", merged, 2)};
  const GateResult result = run_gate(scenes, {}, "mpsc_");
  std::string table;
  for (const std::string& line : result.lines) table += line + '\n';
  MESSAGE(table, "mutants ", result.mutants, ", killed ", result.killed);
  for (const std::string& offence : result.offences) FAIL_CHECK(offence);
}

TEST_CASE("model: lanes, deaths") {
  LanesPlan scans;
  scans.deaths = 1;
  scans.scan_interval = 1;
  LanesPlan dying;
  dying.deaths = 1;
  dying.has_successors = true;
  for (const Scene& scene : {lanes("a death, found by scanning", scans, 1),
                             lanes("a death, rung for by the successor", dying, 1)}) {
    const Found found = explore(scene);
    MESSAGE(std::string(scene.name), ": ", to_string(found));
    CHECK_MESSAGE(found.wrong.empty(), found.story);
  }
}

}  // namespace
}  // namespace slipring::model

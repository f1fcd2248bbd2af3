// Lanes with bells and merged lanes on the memory model, and every mutant of their own code.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/model/checks.h"
#include "tests/model/gate.h"
#include "tests/model/lanes_scenes.h"

namespace slipring::model {
namespace {

TEST_CASE("model: lanes, and every mutant of bells and rounds") {
  LanesPlan bells;
  LanesPlan merged;
  merged.merges = true;
  const std::vector<Scene> scenes{lanes_scene("bells alone, 1 preemption", bells, 1),
                                  lanes_scene("bells alone, 2 preemptions", bells, 2),
                                  lanes_scene("merged, 2 preemptions", merged, 2)};
  check_gate(run_gate(scenes, {}, "mpsc_"));
}

TEST_CASE("model: lanes, deaths") {
  LanesPlan scans;
  scans.deaths = 1;
  scans.scan_interval = 1;
  LanesPlan dying;
  dying.deaths = 1;
  dying.has_successors = true;
  for (const Scene& scene : {lanes_scene("a death, found by scanning", scans, 1),
                             lanes_scene("a death, rung for by the successor", dying, 1)}) {
    const Found found = explore(scene);
    MESSAGE(std::string(scene.name), ": ", to_string(found));
    CHECK_MESSAGE(found.wrong.empty(), found.wrong, "\n", found.story);
  }
}

}  // namespace
}  // namespace slipring::model

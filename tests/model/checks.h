// What every test of a scene and every gate demands, and prints.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "tests/model/explorer.h"
#include "tests/model/gate.h"

namespace slipring::model {

inline void check_scene(const Scene& scene) {
  const Found found = explore(scene);
  MESSAGE(std::string(scene.name), ": ", to_string(found));
  CHECK_MESSAGE(found.wrong.empty(), found.wrong, "\n", found.story);
  CHECK(found.is_complete);
}

inline void check_gate(const GateResult& result) {
  std::string table;
  for (const std::string& line : result.lines) table += line + '\n';
  MESSAGE(table, "mutants ", result.mutants, ", killed ", result.killed);
  for (const std::string& offence : result.offences) FAIL_CHECK(offence);
}

}  // namespace slipring::model

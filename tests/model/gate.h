// The mutation gate: every order made weaker, every read-modify-write split, every store and fence
// left out, one at a time; some scene must notice each.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/model/explorer.h"

namespace slipring::model {

// Mutants that may survive, told by file and change and counted, as lines move.  Why they may
// stands in core/ORDERING.md.
struct Explained {
  const char* mutant;  // "core/ring/mpmc_record.h compare_exchange acq_rel -> release"
  std::uint32_t count;
};

struct GateCounts {
  std::uint32_t site_count = 0;
  std::uint32_t mutant_count = 0;
  std::uint32_t caught_count = 0;
  std::uint64_t state_count = 0;
  std::vector<std::string> survivors;    // with their lines
  std::vector<std::string> differences;  // from what is explained: either way
};

// Explores the scenes, which must find nothing, and then every mutant of the sites that they come
// by in `files`, until one scene finds it.  Answers what was wrong with a scene as a difference.
[[nodiscard]] GateCounts go_through_gate(const std::vector<Scene>& scenes,
                                         const std::vector<std::string>& files,
                                         const std::vector<Explained>& explained);

}  // namespace slipring::model

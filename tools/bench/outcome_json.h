// A run's figures as JSON, for programs and for the page that carries them along.
#pragma once

#include <string>

#include "tools/bench/machine_facts.h"
#include "tools/bench/runner.h"

namespace slipring::bench {

// One line, newline included; times in nanoseconds, rates a second.
[[nodiscard]] std::string outcome_json(const RunOutcome& outcome, const MachineFacts& machine);

}  // namespace slipring::bench

// One run as a page of HTML that needs nothing else: no script, no font, no picture from anywhere.
#pragma once

#include <string>

#include "tools/bench/machine_facts.h"
#include "tools/bench/runner.h"

namespace slipring::bench {

// `settings` says how it was run, in words.
[[nodiscard]] std::string page_html(const RunOutcome& outcome, const MachineFacts& machine,
                                    const std::string& settings);

}  // namespace slipring::bench

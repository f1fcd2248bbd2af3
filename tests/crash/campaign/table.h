// The report of a run.
#pragma once

#include "tests/crash/campaign/driver.h"

namespace slipring::campaign {

void print_table(const Options& options, const Outcome& outcome);
void print_json(const Options& options, const Outcome& outcome);

}  // namespace slipring::campaign

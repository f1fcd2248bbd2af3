// What every table of experiments must show.
#pragma once

#include <doctest/doctest.h>

#include <vector>

#include "tests/crash/stepper/findings.h"

namespace slipring::crash {

inline void check_rows(const std::vector<Tally>& rows) {
  print_table(rows);
  for (const Tally& row : rows) {
    CAPTURE(row.name);
    CHECK(row.start_count > 0);
    CHECK_MESSAGE(row.findings.total() == 0, row.name, ": ", row.findings.first());
    if (row.pair_count != 0) continue;
    CHECK(row.instruction_count > 0);
    CHECK(row.kill_count > row.instruction_count);
    CHECK(row.real_kill_count >= row.image_count);
  }
}

}  // namespace slipring::crash

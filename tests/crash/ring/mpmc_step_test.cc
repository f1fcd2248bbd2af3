// Rings that many produce into and many consume from: death and stops at every instruction of every
// operation, of whoever comes after a dead one, and of the reaper.

#include <doctest/doctest.h>

#include "tests/crash/ring/check_rows.h"
#include "tests/crash/ring/mpmc_experiments.h"
#include "tests/crash/ring/mpmc_kits.h"

namespace slipring::crash {
namespace {

TEST_CASE("mpmc: whoever dies or stops at any instruction") {
  check_rows(many_table<HandleKit>(Extent::kTest));
}
TEST_CASE("exchange: whoever dies or stops at any instruction") {
  check_rows(many_table<ExchangeKit>(Extent::kTest));
}

}  // namespace
}  // namespace slipring::crash

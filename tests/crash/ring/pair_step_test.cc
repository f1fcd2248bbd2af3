// Rings with one producer and one consumer: death, stops and signals at every instruction of every
// operation, and of every pair of instructions of both.

#include <doctest/doctest.h>

#include "tests/crash/ring/pair_experiments.h"
#include "tests/crash/ring/pair_kits.h"
#include "tests/crash/ring/pair_kits_bytes.h"
#include "tests/crash/ring/pair_table.h"

namespace slipring::crash {
namespace {

void check_rows(const std::vector<Tally>& rows) {
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

TEST_CASE("typed ring: whoever dies or stops at any instruction") {
  check_rows(pair_table<TypedKit>(Extent::kTest));
}
TEST_CASE("slot ring: whoever dies or stops at any instruction") {
  check_rows(pair_table<SlotKit>(Extent::kTest));
}
TEST_CASE("record ring: whoever dies or stops at any instruction") {
  check_rows(pair_table<RecordKit>(Extent::kTest));
}
TEST_CASE("byte stream: whoever dies or stops at any instruction") {
  check_rows(pair_table<StreamKit>(Extent::kTest));
}

}  // namespace
}  // namespace slipring::crash

// Rings with one producer and one consumer: death, stops and signals at every instruction of every
// operation, and of every pair of instructions of both.

#include <doctest/doctest.h>

#include "tests/crash/ring/check_rows.h"
#include "tests/crash/ring/pair_kits.h"
#include "tests/crash/ring/pair_kits_bytes.h"
#include "tests/crash/ring/pair_table.h"

namespace slipring::crash {
namespace {

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

// Links, boards and segments with everything that goes with them, killed and stopped at every
// instruction: all classes, and of the stops what fits into a test (the campaign has them all).

#include <doctest/doctest.h>

#include "tests/crash/link/crash_report.h"
#include "tests/crash/link/link_operations.h"
#include "tests/crash/link/private_tmpfs.h"

namespace slipring::crash {
namespace {

void walk_and_check(const std::vector<Operation>& operations, const WalkOptions& options) {
  const Report report = walk_all(operations, options);
  for (const std::string& line : report.lines) MESSAGE(line);
  for (const std::string& failure : report.failures) FAIL_CHECK(failure);
  MESSAGE(report.sum.text());
  CHECK(report.sum.violations == 0);
  CHECK(report.sum.is_whole());
  CHECK(report.sum.missed == 0);
  CHECK(report.sum.kills >= report.sum.classes);
}

constexpr WalkOptions kInCi{
    .stride = 100, .stop_every = 1, .long_operation = 8'000, .drawn_kills = 2, .seed = 1};

TEST_CASE("link crash: a writer killed and stopped at every instruction of every operation") {
  const PrivateTmpfs tmpfs;
  walk_and_check(writer_operations(tmpfs), kInCi);
}

TEST_CASE("link crash: a reader killed and stopped at every instruction of every operation") {
  const PrivateTmpfs tmpfs;
  walk_and_check(reader_operations(tmpfs), kInCi);
}

TEST_CASE("link crash: create, remove, boards and certificates") {
  const PrivateTmpfs tmpfs;
  walk_and_check(segment_operations(tmpfs), kInCi);
}

// The campaign steps through these, too: they have some hundred thousand instructions.
TEST_CASE("link crash: a runner's lock, sweep, create and remove, at every system call") {
  const PrivateTmpfs tmpfs;
  walk_and_check(pipeline_operations(tmpfs), {.stop_every = 8, .calls_only = true, .seed = 1});
}

}  // namespace
}  // namespace slipring::crash

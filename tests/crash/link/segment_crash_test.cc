// Segments, boards, certificates and a runner's set of segments, killed and stopped on the way.

#include <doctest/doctest.h>

#include "tests/crash/link/checked_walk.h"
#include "tests/crash/link/link_operations.h"
#include "tests/crash/link/private_tmpfs.h"

namespace slipring::crash {
namespace {

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

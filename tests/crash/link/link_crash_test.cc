// Both ends of every sort of link, killed and stopped at every instruction: all classes, and of the
// stops what fits into a test (the campaign has them all).

#include <doctest/doctest.h>

#include "tests/crash/link/checked_walk.h"
#include "tests/crash/link/link_operations.h"
#include "tests/crash/link/private_tmpfs.h"

namespace slipring::crash {
namespace {

TEST_CASE("link crash: a writer killed and stopped at every instruction of every operation") {
  const PrivateTmpfs tmpfs;
  walk_and_check(writer_operations(tmpfs), kInCi);
}

TEST_CASE("link crash: a reader killed and stopped at every instruction of every operation") {
  const PrivateTmpfs tmpfs;
  walk_and_check(reader_operations(tmpfs), kInCi);
}

TEST_CASE("link crash: an abort killed and stopped at every instruction of all three parties") {
  const PrivateTmpfs tmpfs;
  walk_and_check(
      abort_operations(tmpfs),
      {.stride = 400, .stop_every = 3, .long_operation = 6'000, .drawn_kills = 1, .seed = 1});
}

}  // namespace
}  // namespace slipring::crash

#include "platform/memory/segment_name.h"

#include <doctest/doctest.h>

namespace slipring {
namespace {

TEST_CASE("segment_name: a lock file names its segment and its data inode") {
  CHECK(lock_file_name("a.b", 17) == ".a.b.17.lock");
  CHECK(data_inode_of_lock(".a.b.17.lock", "a.b") == 17);
  CHECK(data_inode_of_lock(lock_file_name("x", UINT64_MAX), "x") == UINT64_MAX);
}

TEST_CASE("segment_name: another segment's lock file is not taken for ours") {
  // "a" and "a.5" differ although the one's lock files begin like the other's.
  CHECK_FALSE(data_inode_of_lock(".a.5.17.lock", "a").has_value());
  CHECK_FALSE(data_inode_of_lock(".ab.17.lock", "a").has_value());
  CHECK_FALSE(data_inode_of_lock("a.17.lock", "a").has_value());
  CHECK_FALSE(data_inode_of_lock(".a.17.lock2", "a").has_value());
  CHECK_FALSE(data_inode_of_lock(".a..lock", "a").has_value());
  CHECK_FALSE(data_inode_of_lock(".a.-1.lock", "a").has_value());
  CHECK_FALSE(data_inode_of_lock(".a.18446744073709551616.lock", "a").has_value());
  CHECK_FALSE(data_inode_of_lock("", "a").has_value());
}

TEST_CASE("segment_name: a lock file tells its segment, and other files tell none") {
  CHECK(segment_of_lock(".a.b.17.lock") == "a.b");
  CHECK(segment_of_lock(lock_file_name("x", 5)) == "x");
  for (const char* other :
       {"", ".", "..", "a.17.lock", ".lock", ".a.lock", ".a.x.lock", "a.guard"}) {
    CAPTURE(other);
    CHECK(segment_of_lock(other).empty());
  }
}

}  // namespace
}  // namespace slipring

#include "platform/machine/capabilities.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <set>
#include <string>

#include "tests/platform/scratch.h"

namespace slipring {
namespace {

const Capability* find(const std::vector<Capability>& all, std::string_view name) {
  for (const Capability& one : all) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

TEST_CASE("capabilities: each has a name of its own, a finding, and a remedy unless it is well") {
  Scratch scratch;
  REQUIRE(::setenv("SLIPRING_DIR", (scratch.path() + "/d").c_str(), 1) == 0);
  const std::vector<Capability> all = inspect_machine();
  std::set<std::string> names;
  for (const Capability& one : all) {
    CAPTURE(one.name);
    CHECK(names.insert(one.name).second);
    CHECK_FALSE(one.found.empty());
    CHECK(one.remedy.empty() == (one.verdict == Verdict::kOk));
  }
  for (const char* wanted :
       {"memlock", "directory", "fcntl_locks", "membarrier", "futex_waitv", "pidfd", "processors",
        "huge_pages_shared", "clocksource", "processor_wait", "eventfd", "numa", "prefault"}) {
    CAPTURE(wanted);
    CHECK(find(all, wanted) != nullptr);
  }
  CHECK(find(all, "fcntl_locks")->verdict == Verdict::kOk);
}

TEST_CASE("capabilities: a directory that others may write in fails with its name and a remedy") {
  Scratch scratch;
  const std::string path = scratch.path() + "/open";
  REQUIRE(::mkdir(path.c_str(), 0700) == 0);
  REQUIRE(::chmod(path.c_str(), 0777) == 0);
  REQUIRE(::setenv("SLIPRING_DIR", path.c_str(), 1) == 0);
  const std::vector<Capability> all = inspect_machine();
  const Capability* directory = find(all, "directory");
  REQUIRE(directory != nullptr);
  CHECK(directory->verdict == Verdict::kFail);
  CHECK(directory->found.find(path) != std::string::npos);
  CHECK(find(all, "fcntl_locks")->verdict == Verdict::kFail);
}

}  // namespace
}  // namespace slipring

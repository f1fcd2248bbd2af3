// A runner killed at system calls drawn from its whole run; the campaign takes every one.

#include "tests/crash/link/runner_crash.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>

namespace slipring::crash {
namespace {

constexpr std::uint64_t kKills = 60;

TEST_CASE("runner crash: killed at a system call, and the next run works and leaves nothing") {
  const char* scratch = getenv("TEST_TMPDIR");
  RunnerKillOptions options;
  options.programs = std::filesystem::read_symlink("/proc/self/exe").parent_path().string() +
                     "/../../pipelines/stage";
  options.scratch = scratch != nullptr ? scratch : "/tmp";
  options.first = UINT64_MAX;
  const std::uint64_t calls = kill_runner_at_calls(options).calls;
  REQUIRE(calls > 100);
  options.first = 1;
  options.stride = calls / kKills;
  const RunnerKills found = kill_runner_at_calls(options);
  MESSAGE("system calls of a run: " << calls << ", kills: " << found.kills << ", over before: "
                                    << found.ended << ", violations: " << found.violations);
  CHECK_MESSAGE(found.violations == 0, found.first_violation);
  CHECK(found.kills >= kKills / 2);
}

}  // namespace
}  // namespace slipring::crash

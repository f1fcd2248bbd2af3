// The runner killed at every system call of a run, from the first to the last.
// usage: runner_crash_campaign [--seconds=N] [--first=CALL] [--stride=N]

#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <string_view>

#include "platform/wait/clock.h"
#include "tests/crash/link/runner_crash.h"

int main(int argc, char** argv) {
  using namespace slipring;
  crash::RunnerKillOptions options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word.starts_with("--seconds=")) {
      options.deadline_ns = deadline_after(strtoull(argv[i] + 10, nullptr, 10) * 1'000'000'000);
    } else if (word.starts_with("--first=")) {
      options.first = strtoull(argv[i] + 8, nullptr, 10);
    } else if (word.starts_with("--stride=") && strtoull(argv[i] + 9, nullptr, 10) != 0) {
      options.stride = strtoull(argv[i] + 9, nullptr, 10);
    } else {
      std::fprintf(stderr, "usage: %s [--seconds=N] [--first=CALL] [--stride=N]\n", argv[0]);
      return 2;
    }
  }
  char scratch[] = "/tmp/slipring-runner-crash-XXXXXX";
  if (mkdtemp(scratch) == nullptr) return 1;
  options.scratch = scratch;
  options.programs = std::filesystem::read_symlink("/proc/self/exe").parent_path().string() +
                     "/../../pipelines/stage";
  const crash::RunnerKills found = crash::kill_runner_at_calls(options);
  std::filesystem::remove_all(scratch);
  std::printf(
      "runner: %llu system calls a run, from call %llu every %llu: %llu kills, %llu runs "
      "over before, %llu violations\n",
      static_cast<unsigned long long>(found.calls), static_cast<unsigned long long>(options.first),
      static_cast<unsigned long long>(options.stride), static_cast<unsigned long long>(found.kills),
      static_cast<unsigned long long>(found.ended),
      static_cast<unsigned long long>(found.violations));
  if (found.violations != 0) std::printf("  first: %s\n", found.first_violation.c_str());
  return found.violations == 0 && found.kills != 0 ? 0 : 1;
}

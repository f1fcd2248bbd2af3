// The runner of a pipeline, a program with stages of its own, killed at a system call of its run.
#pragma once

#include <cstdint>
#include <string>

namespace slipring::crash {

struct RunnerKills {
  std::uint64_t calls = 0;  // system calls of a whole run
  std::uint64_t kills = 0;
  std::uint64_t ended = 0;  // runs that were over before the call came
  std::uint64_t violations = 0;
  std::string first_violation;
};

struct RunnerKillOptions {
  std::string programs;      // the folder of run_file, count_source and count_sink
  std::string scratch;       // a folder to write in
  std::uint64_t first = 0;   // the first call killed at
  std::uint64_t stride = 1;  // and every so many after it
  std::uint64_t deadline_ns = UINT64_MAX;
};

// After every kill the next run must work at once and leave nothing: no file, no process.
[[nodiscard]] RunnerKills kill_runner_at_calls(const RunnerKillOptions& options);

}  // namespace slipring::crash

// What a process uses, for the live view.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "core/error/result.h"

namespace slipring {

struct ProcessUsage {
  std::uint64_t cpu_time_ns = 0;     // user and system, all threads; in steps of a clock tick
  std::uint64_t resident_bytes = 0;  // shared segments included
  std::uint64_t locked_bytes = 0;
  std::uint64_t start_ticks = 0;  // since boot: tells processes of one number apart
  std::uint32_t thread_count = 0;
  char state = '?';  // as in ps: R, S, D, T, Z
};

// Errors: kNotFound (no such process), kSystem.
Result<ProcessUsage> read_usage(pid_t pid) noexcept;

}  // namespace slipring

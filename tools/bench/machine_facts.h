// The machine as a page of figures must name it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tools/bench/cell.h"

namespace slipring::bench {

struct MachineFacts {
  std::string processor;              // "AMD EPYC 9354"
  std::string kernel;                 // "Linux 6.1.0 x86_64"
  std::string compiler;               // of this program
  std::string time;                   // UTC, "2026-11-22 20:50"
  std::string governor;               // empty where there is none to see
  std::uint32_t processor_count = 0;  // that this process may use
  bool is_virtual = false;
  bool is_optimised = false;  // this program
  bool has_energy_counter = false;
};

[[nodiscard]] MachineFacts machine_facts();

// The first two processors that this process may use, or one twice.
[[nodiscard]] CellSettings default_settings();

// Joules counted by the first package (RAPL); nothing where the machine does not count them, or
// keeps the count from us.  The counter wraps: a difference below zero says nothing.
[[nodiscard]] std::optional<double> energy_joules(
    const std::string& powercap_path = "/sys/class/powercap");

}  // namespace slipring::bench

// Power cuts of the whole array, at every instant of a recorded run: what its disks may hold then,
// each with members missing, assembled and compared with what the client was promised; and the
// whole array started on some of them.
//
// The cache's memory is gone with the power, as it is in life: it is a memory file.
//
// The oracle.  A write is safe once it was answered with FUA, or once a flush was answered that was
// asked after the write's answer.  A sector holds its newest safe write or one that was asked
// later; never an older one, never a mixture, never what nobody wrote.  All rows are consistent.
#pragma once

#include <cstdint>
#include <string>

#include "tests/pipelines/array/power/recorded_run.h"

namespace slipring::array::test {

struct StackCutOptions {
  std::uint32_t cuts = 0;            // so many of the instants, by chance; 0: all
  std::uint32_t sector_bytes = 512;  // written whole or not at all
  std::uint32_t exhaustive_sectors = 5;
  std::uint32_t samples = 5;
  std::uint32_t starts = 0;  // of the whole array, on states by chance
};

struct StackCutReport {
  std::uint64_t instants = 0;
  std::uint64_t cuts = 0;
  std::uint64_t exhaustive_cuts = 0;
  std::uint64_t states = 0;      // of the disks
  std::uint64_t assemblies = 0;  // each state with each set of missing members
  std::uint64_t sectors_compared = 0;
  std::uint64_t safe_sectors = 0;  // of those, the ones that were promised to be there
  std::uint64_t starts = 0;
  std::uint64_t violations = 0;
  std::string first_violation;

  void add(const StackCutReport& other);
};

// Stops at the first violation.
StackCutReport cut_everywhere(const RecordedRun& run, const StackCutOptions& options);

}  // namespace slipring::array::test

// Which processors run what.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/error/result.h"

namespace slipring {

inline constexpr std::uint32_t kCpuNumberMax = 8191;

// The processors that the calling thread may run on, ascending.  Errors: kSystem.
Result<std::vector<std::uint32_t>> allowed_cpus() noexcept;

// Their count; at least 1, also where it cannot be found out.
[[nodiscard]] std::uint32_t allowed_cpu_count() noexcept;

// How many processors are running in this machine.
[[nodiscard]] std::uint32_t online_cpu_count() noexcept;

// Can a thread of this process be pinned to these?  The runner asks before it starts anything.
// Errors: kInvalidArgument, with the offending number in `found`, for an empty list or for a
// processor that does not exist or that this process may not use.
Status validate_cpus(std::span<const std::uint32_t> cpus) noexcept;

// A set of processors, ready to be applied where nothing may be allocated, as between fork and
// exec.
class CpuSet {
 public:
  CpuSet() noexcept = default;

  // Errors: as validate_cpus.
  static Result<CpuSet> of(std::span<const std::uint32_t> cpus) noexcept;

  [[nodiscard]] bool is_empty() const noexcept { return empty_; }

  // Pins the calling thread.  Requires: not empty.  Errors: kPermission, kSystem.
  Status pin_this_thread() const noexcept;

 private:
  static constexpr std::size_t kWordBits = 8 * sizeof(unsigned long);
  unsigned long words_[(kCpuNumberMax + 1) / kWordBits] = {};
  bool empty_ = true;
};

// Pins the calling thread; threads and processes that it starts inherit that.
// Errors: as validate_cpus, and kPermission, kSystem.
Status pin_this_thread(std::span<const std::uint32_t> cpus) noexcept;

}  // namespace slipring

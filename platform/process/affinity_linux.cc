#include "platform/process/affinity.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace slipring {

Result<std::vector<std::uint32_t>> allowed_cpus() noexcept {
  // cpu_set_t ends at 1024 processors; the call takes longer sets.
  constexpr std::size_t kWordBits = 8 * sizeof(unsigned long);
  unsigned long words[(kCpuNumberMax + 1) / kWordBits] = {};
  if (::sched_getaffinity(0, sizeof(words), reinterpret_cast<cpu_set_t*>(words)) != 0) {
    return Error{ErrorCode::kSystem, errno, "ask for the allowed processors"};
  }
  std::vector<std::uint32_t> cpus;
  for (std::uint32_t cpu = 0; cpu <= kCpuNumberMax; ++cpu) {
    if (((words[cpu / kWordBits] >> (cpu % kWordBits)) & 1ul) != 0) cpus.push_back(cpu);
  }
  return cpus;
}

std::uint32_t allowed_cpu_count() noexcept {
  Result<std::vector<std::uint32_t>> cpus = allowed_cpus();
  if (!cpus.ok() || cpus->empty()) return 1;
  return static_cast<std::uint32_t>(cpus->size());
}

std::uint32_t online_cpu_count() noexcept {
  const long count = ::sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? static_cast<std::uint32_t>(count) : 1;
}

Status validate_cpus(std::span<const std::uint32_t> cpus) noexcept {
  if (cpus.empty()) return Error{ErrorCode::kInvalidArgument, 0, "pin to no processor at all"};
  Result<std::vector<std::uint32_t>> allowed = allowed_cpus();
  if (!allowed.ok()) return allowed.error();
  for (const std::uint32_t cpu : cpus) {
    if (!std::binary_search(allowed->begin(), allowed->end(), cpu)) {
      return Error{ErrorCode::kInvalidArgument, 0,
                   "pin to a processor that does not exist or is not allowed", cpu,
                   allowed->empty() ? 0 : allowed->back()};
    }
  }
  return {};
}

Result<CpuSet> CpuSet::of(std::span<const std::uint32_t> cpus) noexcept {
  if (Status valid = validate_cpus(cpus); !valid.ok()) return valid.error();
  CpuSet set;
  for (const std::uint32_t cpu : cpus) set.words_[cpu / kWordBits] |= 1ul << (cpu % kWordBits);
  set.empty_ = false;
  return set;
}

Status CpuSet::pin_this_thread() const noexcept {
  // cpu_set_t ends at 1024 processors; the call takes longer sets.
  const auto* set = reinterpret_cast<const cpu_set_t*>(words_);
  if (::sched_setaffinity(0, sizeof(words_), set) != 0) {
    const ErrorCode code = errno == EPERM ? ErrorCode::kPermission : ErrorCode::kSystem;
    return Error{code, errno, "pin a thread to its processors"};
  }
  return {};
}

Status pin_this_thread(std::span<const std::uint32_t> cpus) noexcept {
  Result<CpuSet> set = CpuSet::of(cpus);
  if (!set.ok()) return set.error();
  return set->pin_this_thread();
}

}  // namespace slipring

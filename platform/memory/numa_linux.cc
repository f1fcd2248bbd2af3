#include "platform/memory/numa.h"

#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <string>
#include <string_view>

#include "platform/memory/page_size.h"
#include "platform/process/proc_file.h"

namespace slipring {

namespace {

constexpr std::uint32_t kNodeCountMax = 64;
// The kernel takes one less than it is told.
constexpr unsigned long kMaskBits = kNodeCountMax + 1;
// A few pages tell where a range lies; asking for all would take as long as faulting them in.
constexpr std::size_t kSampleCount = 64;

static_assert(std::endian::native == std::endian::little || sizeof(unsigned long) == 8,
              "a mask of words is one number");

int mode_of(NumaPolicy policy) noexcept {
  switch (policy) {
    case NumaPolicy::kDefault:
      return MPOL_DEFAULT;
    case NumaPolicy::kLocal:
      return MPOL_LOCAL;
    case NumaPolicy::kBind:
      return MPOL_BIND;
    case NumaPolicy::kInterleave:
      return MPOL_INTERLEAVE;
  }
  return MPOL_DEFAULT;
}

bool takes_nodes(NumaPolicy policy) noexcept {
  return policy == NumaPolicy::kBind || policy == NumaPolicy::kInterleave;
}

// "0-1,4" as a mask.
std::uint64_t mask_of_list(std::string_view text) noexcept {
  std::uint64_t mask = 0;
  while (const auto first = leading_number(text)) {
    std::uint64_t last = *first;
    const std::size_t comma = text.find(',');
    const std::size_t dash = text.substr(0, comma).find('-');
    if (dash != std::string_view::npos) last = leading_number(text.substr(dash + 1)).value_or(last);
    for (std::uint64_t node = *first; node <= last && node < kNodeCountMax; ++node) {
      mask |= std::uint64_t{1} << node;
    }
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return mask;
}

// The nodes of up to kSampleCount pages of the range; 0 where nobody can tell.
std::uint64_t nodes_of(void* data, std::size_t size_bytes) noexcept {
  std::array<void*, kSampleCount> pages = {};
  std::array<int, kSampleCount> nodes = {};
  const std::size_t page_bytes = page_size_bytes();
  const std::size_t page_count = (size_bytes + page_bytes - 1) / page_bytes;
  const std::size_t sample_count = page_count < kSampleCount ? page_count : kSampleCount;
  for (std::size_t i = 0; i < sample_count; ++i) {
    pages[i] = static_cast<char*>(data) + page_count * i / sample_count * page_bytes;
  }
  if (::syscall(SYS_move_pages, 0, sample_count, pages.data(), nullptr, nodes.data(), 0) != 0) {
    return 0;
  }
  std::uint64_t mask = 0;
  for (std::size_t i = 0; i < sample_count; ++i) {
    if (nodes[i] >= 0 && nodes[i] < static_cast<int>(kNodeCountMax)) {
      mask |= std::uint64_t{1} << nodes[i];
    }
  }
  return mask;
}

// What the kernel's yes is worth.
NumaOutcome outcome_of_success(const NumaRequest& request) noexcept {
  const std::uint64_t nodes = numa_nodes();
  const bool is_any_wanted = !takes_nodes(request.policy) || (request.node_mask & nodes) != 0;
  return std::has_single_bit(nodes) && is_any_wanted ? NumaOutcome::kSingleNode
                                                     : NumaOutcome::kPlaced;
}

NumaReport unavailable(int os_errno) noexcept {
  return {NumaOutcome::kUnavailable, os_errno, 0};
}

}  // namespace

std::uint64_t numa_nodes() noexcept {
  // Once known it stays so; what could not be read just now is asked for again.
  static std::atomic<std::uint64_t> known{0};
  // relaxed, both: every thread finds the same mask.
  std::uint64_t mask = known.load(std::memory_order_relaxed);
  if (mask != 0) return mask;
  Result<std::string> list = read_proc_file("/sys/devices/system/node/has_memory");
  mask = list.ok() ? mask_of_list(*list) : 0;
  known.store(mask, std::memory_order_relaxed);
  return mask != 0 ? mask : std::uint64_t{1};
}

Status validate_numa(const NumaRequest& request) noexcept {
  if (!takes_nodes(request.policy)) return {};
  if (request.node_mask == 0) {
    return Error{ErrorCode::kInvalidArgument, 0, "place memory on nodes without naming any"};
  }
  const std::uint64_t missing = request.node_mask & ~numa_nodes();
  if (missing == 0) return {};
  return Error{ErrorCode::kInvalidArgument, 0, "place memory on nodes that this machine lacks",
               missing, request.node_mask};
}

NumaReport place_on_nodes(void* data, std::size_t size_bytes, const NumaRequest& request) noexcept {
  if (request.policy == NumaPolicy::kDefault) return {};
  const std::uint64_t mask = takes_nodes(request.policy) ? request.node_mask : 0;
  if (::syscall(SYS_mbind, data, size_bytes, mode_of(request.policy), mask == 0 ? nullptr : &mask,
                mask == 0 ? 0 : kMaskBits, MPOL_MF_MOVE) != 0) {
    return unavailable(errno);
  }
  return {outcome_of_success(request), 0, nodes_of(data, size_bytes)};
}

NumaScope::NumaScope(const NumaRequest& request) noexcept {
  if (request.policy == NumaPolicy::kDefault) return;
  constexpr unsigned long kOldMaskBits = sizeof(old_mask_) * 8;
  int old_mode = 0;
  if (::syscall(SYS_get_mempolicy, &old_mode, old_mask_, kOldMaskBits, nullptr, 0) != 0) {
    report_ = unavailable(errno);
    return;
  }
  const std::uint64_t mask = takes_nodes(request.policy) ? request.node_mask : 0;
  if (::syscall(SYS_set_mempolicy, mode_of(request.policy), mask == 0 ? nullptr : &mask,
                mask == 0 ? 0 : kMaskBits) != 0) {
    report_ = unavailable(errno);
    return;
  }
  old_mode_ = old_mode;
  report_.outcome = outcome_of_success(request);
}

NumaScope::~NumaScope() {
  if (old_mode_ < 0) return;
  const bool is_bare = old_mode_ == MPOL_DEFAULT || old_mode_ == MPOL_LOCAL;
  // It worked the other way round; if a filter came up meanwhile, the thread keeps the policy.
  static_cast<void>(::syscall(SYS_set_mempolicy, old_mode_, is_bare ? nullptr : old_mask_,
                              is_bare ? 0 : sizeof(old_mask_) * 8));
}

}  // namespace slipring

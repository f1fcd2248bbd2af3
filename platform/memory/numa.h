// On which memory node pages lie, on machines that have several.
//
// Pages are placed when they are allocated, and named segments are allocated at create: so a policy
// for a segment belongs to its creator (NumaScope).  A mapping may also move what is there already
// (place_on_nodes), except for pages that other processes have mapped.  Raw system calls, no
// library.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/error/result.h"

namespace slipring {

enum class NumaPolicy : std::uint8_t {
  kDefault,     // whatever the process has
  kLocal,       // the node of the processor that touches a page first
  kBind,        // these nodes only
  kInterleave,  // page by page over these nodes
};

struct NumaRequest {
  NumaPolicy policy = NumaPolicy::kDefault;
  std::uint64_t node_mask = 0;  // bit n: node n; for kBind and kInterleave
};

enum class NumaOutcome : std::uint8_t {
  kNotAsked,
  kPlaced,       // the policy holds, and the pages that could be moved were
  kSingleNode,   // there is one node, and it is among the wanted ones: nothing to choose
  kUnavailable,  // the kernel has no such call, a filter forbids it, or there is no such node
};

struct NumaReport {
  NumaOutcome outcome = NumaOutcome::kNotAsked;
  int os_errno = 0;             // of kUnavailable: ENOSYS, EPERM, EINVAL, …
  std::uint64_t node_mask = 0;  // where the first pages lie now; 0: unknown
};

// Bit n: node n has memory.  1 where the kernel knows no nodes.
[[nodiscard]] std::uint64_t numa_nodes() noexcept;

// Errors: kInvalidArgument (a policy with nodes and an empty mask, or, with the missing ones as a
// mask in `found`, nodes that are not there).
Status validate_numa(const NumaRequest& request) noexcept;

// Sets the range's policy and moves what may be moved.  Never fails: reports.  For shared memory
// the policy belongs to the file, and so to everybody who maps it.  Requires: whole pages.
NumaReport place_on_nodes(void* data, std::size_t size_bytes, const NumaRequest& request) noexcept;

// While it lives, what the calling thread allocates follows the request.
class NumaScope {
 public:
  explicit NumaScope(const NumaRequest& request) noexcept;
  NumaScope(const NumaScope&) = delete;
  NumaScope& operator=(const NumaScope&) = delete;
  ~NumaScope();

  [[nodiscard]] const NumaReport& report() const noexcept { return report_; }

 private:
  NumaReport report_;
  int old_mode_ = -1;  // -1: nothing to restore
  std::uint64_t old_mask_[16] = {};
};

}  // namespace slipring

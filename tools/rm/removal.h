// Takes a segment away that nobody holds: for rm and reap.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "platform/memory/segment_directory.h"
#include "tools/cli/exit_status.h"

namespace slipring::tools {

struct Holding {
  std::uint32_t role_byte;
  std::uint64_t process_id;  // 0: not visible from here
};

struct Removal {
  std::string name;
  bool removed = false;
  std::uint64_t freed_bytes = 0;
  std::vector<Holding> holders;
  ExitStatus status = ExitStatus::kOk;
};

// Takes every role first, so that nobody takes one in between; a role that a living process holds
// is in the way, unless `force`.  Complains and remarks in the name of `command`.
[[nodiscard]] Removal remove_segment_of_nobody(const SegmentDirectory& directory,
                                               const std::string& name, bool force,
                                               std::string_view command);

}  // namespace slipring::tools

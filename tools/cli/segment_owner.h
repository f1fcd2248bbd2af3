// Who may use a segment that is made: its mode bits and group, as the command line has them.
#pragma once

#include <string>
#include <string_view>

#include "platform/memory/segment_file.h"

namespace slipring::tools {

// `mode` in octal; `group` a name or a number, or empty.  False after a complaint.
[[nodiscard]] bool read_owner(std::string_view command, const std::string& mode,
                              const std::string& group, SegmentOptions& options);

}  // namespace slipring::tools

// The commands that look at links as they work.
#pragma once

#include "tools/commands/command.h"

namespace slipring::tools {

[[nodiscard]] Command stat_command();
[[nodiscard]] Command top_command();
[[nodiscard]] Command tail_command();

}  // namespace slipring::tools

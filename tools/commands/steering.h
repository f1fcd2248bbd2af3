// The commands that run a pipeline and tell its stages something.
#pragma once

#include "tools/commands/command.h"

namespace slipring::tools {

[[nodiscard]] Command run_command();
[[nodiscard]] Command abort_command();
[[nodiscard]] Command oob_command();

}  // namespace slipring::tools

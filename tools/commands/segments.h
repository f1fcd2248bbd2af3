// The commands that make, list, check and remove segments.
#pragma once

#include "tools/commands/command.h"

namespace slipring::tools {

[[nodiscard]] Command create_command();
[[nodiscard]] Command rm_command();
[[nodiscard]] Command ls_command();
[[nodiscard]] Command verify_command();
[[nodiscard]] Command reap_command();

}  // namespace slipring::tools

// The commands that carry bytes and messages into and out of links.
#pragma once

#include "tools/commands/command.h"

namespace slipring::tools {

[[nodiscard]] Command put_command();
[[nodiscard]] Command get_command();
[[nodiscard]] Command pipe_command();
[[nodiscard]] Command wire_command();
[[nodiscard]] Command serve_command();

}  // namespace slipring::tools

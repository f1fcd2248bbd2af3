// The program's commands.
#pragma once

#include <vector>

#include "tools/commands/command.h"

namespace slipring::tools {

// In the order in which the help lists them, each with places of its own for what it is asked.
[[nodiscard]] std::vector<Command> command_table();

}  // namespace slipring::tools

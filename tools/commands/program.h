// The commands about the machine and about the program itself.
#pragma once

#include "tools/commands/command.h"

namespace slipring::tools {

[[nodiscard]] Command doctor_command();
[[nodiscard]] Command bench_command();
[[nodiscard]] Command man_command();
[[nodiscard]] Command completion_command();
[[nodiscard]] Command version_command();

}  // namespace slipring::tools

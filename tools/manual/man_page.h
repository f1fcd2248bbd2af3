// Manual pages in man(7), made from what the commands say about themselves.
#pragma once

#include <span>
#include <string>

#include "tools/help.h"

namespace slipring::tools {

// slipring-NAME.1
[[nodiscard]] std::string man_page(const CommandManual& manual);

// slipring.1, with all the commands.
[[nodiscard]] std::string program_man_page(std::span<const CommandManual> manuals);

}  // namespace slipring::tools

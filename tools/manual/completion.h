// Completion of command lines, made from what the commands say about themselves.
//
// Commands, options and the words that an option may have are in the script; the names of segments
// are asked of `slipring completion names` when the key is pressed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tools/help.h"

namespace slipring::tools {

enum class Shell : std::uint8_t { kBash, kZsh, kFish };

[[nodiscard]] std::optional<Shell> shell_of(std::string_view name) noexcept;

[[nodiscard]] std::string completion_script(Shell shell, std::span<const CommandManual> manuals);

}  // namespace slipring::tools

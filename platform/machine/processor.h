// What the processor says about itself.
#pragma once

#include <string>

namespace slipring {

// The instructions that wait for a line to change, as a list: "waitpkg, mwaitx"; empty if there
// is none.
[[nodiscard]] std::string waiting_instructions();

// A virtual machine's processor says so.
[[nodiscard]] bool runs_under_hypervisor();

}  // namespace slipring

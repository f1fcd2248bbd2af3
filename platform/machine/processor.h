// What the processor says about itself.
#pragma once

namespace slipring {

// A virtual machine's processor says so.
[[nodiscard]] bool runs_under_hypervisor();

}  // namespace slipring

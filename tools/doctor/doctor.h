// `slipring doctor`: what this machine allows, and what to do about what it does not.
#pragma once

#include "tools/cli/exit_status.h"

namespace slipring::tools {

struct DoctorRequest {
  bool json = false;
};

// kFailure when something that is needed is missing.
ExitStatus doctor(const DoctorRequest& request);

}  // namespace slipring::tools

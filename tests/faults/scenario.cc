#include "tests/faults/scenario.h"

#include <cstdio>
#include <cstdlib>

namespace slipring::faults {

void scenario_broken(const char* why, const Error& error) {
  std::fprintf(stderr, "scenario: %s: %s: %s, errno %d\n", why, name_of(error.code), error.doing,
               error.os_errno);
  std::_Exit(99);
}

}  // namespace slipring::faults

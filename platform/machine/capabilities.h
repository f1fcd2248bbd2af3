// What this machine allows, and what to do about what it does not: the substance of
// `slipring doctor`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace slipring {

enum class Verdict : std::uint8_t {
  kOk,
  kWarn,  // works, with a downgrade that `found` describes
  kFail,  // something that is needed is missing
};

struct Capability {
  const char* name;  // a stable key for scripts: "memlock", "futex_waitv", …
  Verdict verdict;
  std::string found;   // what was seen, with its unit
  std::string remedy;  // what the owner of the machine may do; empty when the verdict is kOk
};

// Looks at everything once.  Makes the segment directory if it is missing, and short-lived files
// without a name in it; changes nothing else.
[[nodiscard]] std::vector<Capability> inspect_machine();

}  // namespace slipring

// Where in the code an access stands.  One call of the policy stands on one line, so that file and
// line name it.
#pragma once

#include <compare>
#include <cstring>

namespace slipring::model {

struct Site {
  const char* file = "";
  unsigned line = 0;
  const char* function = "";

  [[nodiscard]] static constexpr Site here(const char* file = __builtin_FILE(),
                                           unsigned line = __builtin_LINE(),
                                           const char* function = __builtin_FUNCTION()) noexcept {
    return {file, line, function};
  }
  [[nodiscard]] bool operator==(const Site& other) const noexcept {
    return line == other.line && std::strcmp(file, other.file) == 0;
  }
};

}  // namespace slipring::model

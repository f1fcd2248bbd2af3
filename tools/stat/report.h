// A sample as text for people, or as one line of JSON.
#pragma once

#include <cstddef>
#include <string>

#include "tools/stat/sample.h"

namespace slipring::tools {

[[nodiscard]] std::string report_text(const Comparison& comparison, bool in_colour);

// One line, newline included.
[[nodiscard]] std::string report_json(const Comparison& comparison);

}  // namespace slipring::tools

// A sample of links, boards and processes as Prometheus has it (text format 0.0.4).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tools/stat/sample.h"

namespace slipring::tools {

// What the server says of itself.
struct ServerCounts {
  std::uint64_t connections = 0;
  std::uint64_t requests = 0;
  std::uint64_t delivered = 0;
  std::uint64_t returned = 0;
  std::uint64_t evicted = 0;
};

// A label's value, as it stands between quotes.
[[nodiscard]] std::string escaped_label(std::string_view text);

[[nodiscard]] std::string metrics_text(const Sample& sample, const ServerCounts& counts);

}  // namespace slipring::tools

#include "tools/cli/wait_times.h"

#include "tools/cli/terminal.h"
#include "tools/cli/units.h"

namespace slipring::tools {

std::optional<WaitTimes> read_wait_times(std::string_view command, const std::string& timeout,
                                         const std::string& wait) {
  const auto timeout_ns = parse_seconds_ns(timeout);
  const auto wait_ns = parse_seconds_ns(wait.empty() ? kUsualWaitSeconds : wait);
  if (timeout_ns && wait_ns) return WaitTimes{*timeout_ns, *wait_ns};
  complain(command, "--timeout and --wait take a number of seconds, 0.5 for example");
  return std::nullopt;
}

}  // namespace slipring::tools

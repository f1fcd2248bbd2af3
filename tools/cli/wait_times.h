// --timeout and --wait, as the commands have them that tell somebody something and may wait for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace slipring::tools {

inline constexpr std::string_view kUsualWaitSeconds = "10";

struct WaitTimes {
  std::uint64_t timeout_ns;  // until it can be said
  std::uint64_t wait_ns;     // until it has been heeded
};

// An empty `wait` is kUsualWaitSeconds.  Nothing after a complaint.
[[nodiscard]] std::optional<WaitTimes> read_wait_times(std::string_view command,
                                                       const std::string& timeout,
                                                       const std::string& wait);

}  // namespace slipring::tools

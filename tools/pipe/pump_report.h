// What `pipe`, `put` and `get` say when they are through, or could not begin.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pipelines/adapter/pump_options.h"
#include "tools/cli/exit_status.h"

namespace slipring::tools {

enum class Carried : bool { kBytes, kMessages };

// {"from":…,"to":…,"end":"end_of_input","moved_bytes":…,"repeated_bytes":…}, and of messages their
// counts.
[[nodiscard]] std::string pump_report_json(const std::string& from, const std::string& to,
                                           const PumpReport& report, Carried carried);

// Complains about an end that is nobody's wish, and answers the status for it.
ExitStatus judge_pump(std::string_view command, const std::string& from, const std::string& to,
                      const PumpReport& report);

// Why it did not go on, and the status for it.
ExitStatus complain_failure(std::string_view command, const std::string& from,
                            const std::string& to, const Error& error);

// Says what was left out, and why, if anything was.
void remark_losses(std::string_view command, const PumpReport& report);

// The capacity that was asked for; nothing after a complaint.
[[nodiscard]] std::optional<std::uint64_t> read_capacity(std::string_view command,
                                                         const std::string& text);

// Likewise the longest message.
[[nodiscard]] std::optional<std::uint64_t> read_max_message(std::string_view command,
                                                            const std::string& text);

// Why no end of the link could be had, and the status for it.
ExitStatus complain_meeting(std::string_view command, const std::string& name,
                            std::string_view role, Carried carried, const Error& error);

}  // namespace slipring::tools

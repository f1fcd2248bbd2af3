// A plan as text for a person.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "pipelines/stage/pipeline_plan.h"

namespace slipring {

// Where the other end of such a link is: "-> tcp://backup:7070 (listens)".
[[nodiscard]] std::string describe(const WirePlan& wire);

// The plan for a person, several lines, each ended by a newline.
[[nodiscard]] std::string describe(const PipelinePlan& plan);

// "demux.video".  Requires: the end is known.
[[nodiscard]] std::string port_name(const PipelinePlan& plan, const PortPlan& port);
// "0-3,7".
[[nodiscard]] std::string cpu_list(std::span<const std::uint32_t> cpus);

}  // namespace slipring

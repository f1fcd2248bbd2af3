// Who is joined to whom, looked at as a whole.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pipelines/stage/finding.h"
#include "pipelines/stage/pipeline_plan.h"

namespace slipring {

// Ports used twice, stages joined to nothing, cycles without credit.  An end whose stage is unknown
// is passed over: who read the file has reported it.
[[nodiscard]] std::vector<Finding> check_topology(const PipelinePlan& plan);

// CPUs that the stages are pinned to and that are not among `allowed`.
[[nodiscard]] std::vector<Finding> check_cpus(const PipelinePlan& plan,
                                              std::span<const std::uint32_t> allowed);

}  // namespace slipring

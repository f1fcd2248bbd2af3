// The words that a stage's program is started with; stage.h reads them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "pipelines/stage/pipeline_plan.h"

namespace slipring {

[[nodiscard]] std::vector<std::string> stage_arguments(const PipelinePlan& plan,
                                                       std::size_t stage_index);

}  // namespace slipring

// The [[link]] and [[oob]] tables of a pipeline file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipelines/stage/finding.h"
#include "pipelines/stage/pipeline_plan.h"
#include "pipelines/stage/toml_input.h"

namespace slipring {

inline constexpr std::uint64_t kMaxRestartLimit = 1'000'000;

// Add what the table says to the plan, whose stages have been read and are called `stage_names`,
// and what is wrong with it to the findings.
void read_link(const toml::table& table, const std::vector<std::string>& stage_names,
               PipelinePlan& plan, std::vector<Finding>& findings);
void read_oob(const toml::table& table, const std::vector<std::string>& stage_names,
              PipelinePlan& plan, std::vector<Finding>& findings);

}  // namespace slipring

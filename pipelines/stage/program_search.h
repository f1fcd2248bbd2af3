// Where the stages' programs are.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipelines/stage/finding.h"
#include "pipelines/stage/pipeline_plan.h"

namespace slipring {

// Where a program named without '/' is looked for, in this order: the folders of `stage_path`
// (colon-separated, $SLIPRING_STAGE_PATH), `own_folder` (where the slipring program lies),
// ../libexec/slipring beside it, and the build tree's pipelines/<pipeline>/ and pipelines/stage/
// above it.
[[nodiscard]] std::vector<std::string> program_places(std::string_view pipeline_name,
                                                      std::string_view own_folder,
                                                      std::string_view stage_path);

// Fills in every stage's `program_path`; findings for programs that are missing or cannot be run.
// A program with '/' is taken relative to the folder of the pipeline file.
[[nodiscard]] std::vector<Finding> resolve_programs(PipelinePlan& plan,
                                                    std::span<const std::string> places);

}  // namespace slipring

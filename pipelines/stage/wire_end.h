// A link's end on another machine, as a pipeline file writes it: an address in place of STAGE.PORT.
//
// The plan then has a stage of the runner's own at that end, "LINK-wire", whose program
// (wire_stage.cc) carries what is in the link.  It is started, watched and restarted as any other,
// and everything else of the plan knows only stages.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "pipelines/stage/finding.h"
#include "pipelines/stage/pipeline_plan.h"

namespace slipring {

inline constexpr std::string_view kCarrierProgram = "wire_stage";
inline constexpr std::string_view kCarrierSuffix = "-wire";

// Whether it is meant as an address.
[[nodiscard]] bool is_wire_end(std::string_view text) noexcept;

// What a wire does not carry, and what contradicts itself in the address.  `is_sound`: the shape
// has been checked.  Requires: link.wire.
[[nodiscard]] std::optional<Finding> check_wire_end(const LinkPlan& link, bool is_sound);

// Adds the carrier's stage and joins the link to it.  Requires: link.wire.
void join_carrier(PipelinePlan& plan, std::size_t link_index, std::uint32_t restart_limit);

// Links that want the same place over there, or listen at the same here; stages that are called as
// the carriers are.
[[nodiscard]] std::vector<Finding> check_wire_places(const PipelinePlan& plan);

}  // namespace slipring

// What a plan takes of a machine: shared memory, locked memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pipelines/link/link_layout.h"
#include "pipelines/stage/finding.h"
#include "pipelines/stage/pipeline_plan.h"

namespace slipring {

// Bytes of a segment of that shape, and of the part that each of its ends maps.
// Requires: validate_shape(shape) is ok.
[[nodiscard]] std::uint64_t segment_bytes(const LinkShape& shape) noexcept;
[[nodiscard]] std::uint64_t mapped_bytes(const LinkShape& shape) noexcept;
// Of a stage's board, and of the runner's.
[[nodiscard]] std::uint64_t board_segment_bytes() noexcept;

// All segments together: what the segment directory must have free.
[[nodiscard]] std::uint64_t total_segment_bytes(const PipelinePlan& plan);

// What the stage has mapped when it runs: the segments of its ends and its board.  RLIMIT_MEMLOCK
// counts mlock() by process, so that this, and not the total, is what the limit must allow.
[[nodiscard]] std::uint64_t stage_locked_bytes(const PipelinePlan& plan, std::size_t stage_index);

// Stages that cannot lock what they map.  Nothing is found unless the plan requires locking.
[[nodiscard]] std::vector<Finding> check_memlock(const PipelinePlan& plan,
                                                 std::uint64_t limit_bytes);

// Segments that do not fit into what `directory` has free.
[[nodiscard]] std::vector<Finding> check_space(const PipelinePlan& plan, std::string_view directory,
                                               std::uint64_t free_bytes);

// "12.5 MiB", with one decimal.  What is needed is rounded up and what is there is rounded down, so
// that the two never look equal in a message about a lack.
[[nodiscard]] std::string need_text(std::uint64_t size_bytes);
[[nodiscard]] std::string have_text(std::uint64_t size_bytes);

}  // namespace slipring

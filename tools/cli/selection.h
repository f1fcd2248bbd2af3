// Which segments a command line means.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error/result.h"
#include "platform/memory/segment_directory.h"
#include "tools/cli/exit_status.h"

namespace slipring::tools {

// The segment directory, or a complaint in the name of `command`.
[[nodiscard]] std::optional<SegmentDirectory> open_directory(std::string_view command,
                                                             ExitStatus& status);

enum class PipelineNames : bool { kNo, kYes };

// The segments among `names` that `wanted` means: a name, a pattern with * ? [], and, if asked for,
// a pipeline's name for all that begins with it and a dot.
[[nodiscard]] std::vector<std::string> matching(std::span<const std::string> names,
                                                const std::string& wanted,
                                                PipelineNames pipeline_names);

[[nodiscard]] bool is_pattern(std::string_view wanted) noexcept;

// Why `wanted` means nothing among `names`, with what might have been meant.
[[nodiscard]] std::string explain_missing(const SegmentDirectory& directory,
                                          std::span<const std::string> names,
                                          const std::string& wanted);

}  // namespace slipring::tools

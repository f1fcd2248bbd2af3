#include "tools/cli/selection.h"

#include <fnmatch.h>

#include <algorithm>

#include "pipelines/stage/finding.h"
#include "pipelines/stage/pipeline_plan.h"
#include "tools/cli/terminal.h"

namespace slipring::tools {

std::optional<SegmentDirectory> open_directory(std::string_view command, ExitStatus& status) {
  Result<SegmentDirectory> directory = SegmentDirectory::open();
  if (!directory) {
    status = complain(command, "cannot use " + SegmentDirectory::default_path(), directory.error());
    return std::nullopt;
  }
  return std::move(directory).value();
}

bool is_pattern(std::string_view wanted) noexcept {
  return wanted.find_first_of("*?[") != std::string_view::npos;
}

std::vector<std::string> matching(std::span<const std::string> names, const std::string& wanted,
                                  PipelineNames pipeline_names) {
  std::vector<std::string> found;
  const std::string prefix = wanted + ".";
  for (const std::string& name : names) {
    const bool is_meant = name == wanted ||
                          (is_pattern(wanted) && fnmatch(wanted.c_str(), name.c_str(), 0) == 0) ||
                          (pipeline_names == PipelineNames::kYes && name.starts_with(prefix));
    if (is_meant) found.push_back(name);
  }
  return found;
}

std::string explain_missing(const SegmentDirectory& directory, std::span<const std::string> names,
                            const std::string& wanted) {
  if (is_pattern(wanted)) return "no segment in " + directory.path() + " matches '" + wanted + "'";
  std::string text = "no segment '" + wanted + "' in " + directory.path();
  if (names.empty()) return text + ", which is empty";
  const std::string prefix = wanted + ".";
  if (std::any_of(names.begin(), names.end(),
                  [&](const std::string& name) { return name.starts_with(prefix); })) {
    return text + "; did you mean '" + prefix + "*'?";
  }
  if (const auto meant = nearest_name(wanted, names)) {
    return text + "; did you mean '" + *meant + "'?";
  }
  return text + "; `slipring ls` lists those there are";
}

}  // namespace slipring::tools

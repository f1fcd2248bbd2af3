// Texts of pipeline files with one place edited, and what is found wrong with them.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "pipelines/stage/finding.h"
#include "pipelines/stage/pipeline_file.h"

namespace slipring {

inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE_MESSAGE(at != std::string::npos, "the text does not hold: " << from);
  return text.replace(at, from.size(), to);
}

inline std::vector<std::string> findings_of(const std::string& text, const std::string& file) {
  std::vector<std::string> lines;
  for (const Finding& finding : parse_pipeline(text, file).findings) {
    lines.push_back(to_string(finding, file));
  }
  return lines;
}

}  // namespace slipring

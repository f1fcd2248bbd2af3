// The option "planted" of a stage: a fault of its own that a test wants to see noticed.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <utility>

#include "pipelines/stage/stage.h"

namespace slipring::array {

// False, and said, when the option's word is none of `faults`.
template <typename Fault, std::size_t kCount>
bool take_planted(Stage& stage, const std::array<std::pair<const char*, Fault>, kCount>& faults,
                  Fault& fault) {
  const std::string word = stage.option("planted");
  std::string words;
  for (const auto& [name, value] : faults) {
    fault = value;
    if (word == name) return true;
    words += std::string(words.empty() ? "" : ", ") + name;
  }
  stage.log(Severity::kError, "option planted: '%s' is none of %s", word.c_str(), words.c_str());
  return false;
}

}  // namespace slipring::array

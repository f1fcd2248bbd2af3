// What is wrong with a pipeline file, in words for the person who mends it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace slipring {

// One thing that is wrong, in the three parts that a person needs.
struct Finding {
  int line = 0;  // from 1; 0 where no line is to blame
  std::string wrong;
  std::string found;
  std::string remedy;
};

// "FILE:LINE: wrong: found; remedy"
[[nodiscard]] std::string to_string(const Finding& finding, std::string_view file);

// Orders by line; findings of one line keep their order.
void sort_findings(std::vector<Finding>& findings);

// The candidate that `word` was probably meant to be, or nothing when none is close.  Letter case
// does not count, and two neighbours swapped count as one slip.
[[nodiscard]] std::optional<std::string> nearest_name(std::string_view word,
                                                      std::span<const std::string> candidates);

// The word in quotation marks, cut where it is long.
[[nodiscard]] std::string quoted(std::string_view text);
[[nodiscard]] std::string comma_list(std::span<const std::string> words);
// "did you mean "…"?" where one of the known is near, and otherwise all of them.
[[nodiscard]] std::string remedy_for(std::string_view word, std::span<const std::string> known);

}  // namespace slipring

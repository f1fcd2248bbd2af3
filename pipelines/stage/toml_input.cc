#include "pipelines/stage/toml_input.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

namespace slipring {
namespace {

using toml_input::BrokenPrecondition;

// The line whose text breaks the library's precondition.  The parser goes from front to back, so
// that a beginning of the text breaks it exactly when it holds that line.
int broken_line(std::string_view text) {
  std::vector<std::size_t> ends;  // of the lines
  for (std::size_t end = text.find('\n'); end != std::string_view::npos;
       end = text.find('\n', end + 1)) {
    ends.push_back(end + 1);
  }
  ends.push_back(text.size());
  const auto holds_it = [&](std::size_t end) {
    try {
      static_cast<void>(toml::parse(text.substr(0, end)));
    } catch (const toml::parse_error&) {
      return false;
    } catch (const BrokenPrecondition&) {
      return true;
    }
    return false;
  };
  const auto first = std::partition_point(ends.begin(), ends.end() - 1,
                                          [&](std::size_t end) { return !holds_it(end); });
  return static_cast<int>(first - ends.begin()) + 1;
}

}  // namespace

std::optional<Finding> parse_toml(std::string_view text, toml::table& root) {
  try {
    root = toml::parse(text);
    return std::nullopt;
  } catch (const toml::parse_error& error) {
    const auto where = error.source().begin;
    return Finding{static_cast<int>(where.line), "not valid TOML", std::string(error.description()),
                   "look at column " + std::to_string(where.column)};
  } catch (const BrokenPrecondition&) {
    return Finding{broken_line(text), "not valid TOML", "this line cannot be read",
                   "look at its brackets"};
  }
}

}  // namespace slipring

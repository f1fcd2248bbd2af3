// Names for the further files of an output that could not stay one file: film.y4m, film-2.y4m, …
#pragma once

#include <cstdint>
#include <string>

namespace slipring::settop {

// The path itself for number 1 and 0; otherwise "-NUMBER" before the extension of the last part.
[[nodiscard]] inline std::string numbered_path(const std::string& path, std::uint64_t number) {
  if (number <= 1) return path;
  const std::size_t slash = path.rfind('/');
  const std::size_t first = slash == std::string::npos ? 0 : slash + 1;
  const std::size_t dot = path.rfind('.');
  const bool has_extension = dot != std::string::npos && dot > first;
  const std::size_t at = has_extension ? dot : path.size();
  return path.substr(0, at) + "-" + std::to_string(number) + path.substr(at);
}

}  // namespace slipring::settop

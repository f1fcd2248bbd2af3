// The library that reads TOML, as a reader of foreign files wants it.
//
// toml++ 3.3 asserts on some malformed files ("[[[a]]]"), and a pipeline file is input: its setting
// for what an assertion does makes that an offence against TOML like any other.  Who includes this
// is built without NDEBUG (BUILD), since the library drops the setting there.
#pragma once

namespace slipring::toml_input {

// Thrown where the library would assert.
struct BrokenPrecondition {};

constexpr void require_precondition(bool holds) {
  if (!holds) throw BrokenPrecondition{};
}

}  // namespace slipring::toml_input

#define TOML_ASSERT(expr) ::slipring::toml_input::require_precondition(static_cast<bool>(expr))
#include <toml++/toml.h>

#include <optional>
#include <string_view>

#include "pipelines/stage/finding.h"

namespace slipring {

// What is wrong with the text as TOML, or nothing, and then it is in `root`.
[[nodiscard]] std::optional<Finding> parse_toml(std::string_view text, toml::table& root);

}  // namespace slipring

// What is kept beside a link and goes with it.  The boards of the wire, NAME.wire-out and
// NAME.wire-in (pipelines/wire/WIRE.md), say what came over already: they have nobody most of the
// time, and without them it would be sent, or taken, again.  The lanes of a topic's further
// publishers, NAME.pub1 and so on (pipelines/link/TOPIC.md), would be a topic without its
// beginning.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipelines/link/topic_lanes.h"

namespace slipring::tools {

inline constexpr std::array<std::string_view, 2> kWireSuffixes = {".wire-out", ".wire-in"};

// Whose board it is by its name; nothing for any other name.
[[nodiscard]] inline std::optional<std::string> link_of_wire_board(std::string_view name) {
  for (const std::string_view suffix : kWireSuffixes) {
    if (name.size() > suffix.size() && name.ends_with(suffix)) {
      return std::string(name.substr(0, name.size() - suffix.size()));
    }
  }
  return std::nullopt;
}

[[nodiscard]] inline bool is_named(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The link that a board or a lane is kept for; nothing when there is none any more.
[[nodiscard]] inline std::optional<std::string> keeper_of(const std::vector<std::string>& names,
                                                          std::string_view name) {
  if (std::optional<std::string> topic = topic_of_lane(name); topic && is_named(names, *topic)) {
    return topic;
  }
  std::optional<std::string> link = link_of_wire_board(name);
  if (!link || is_named(names, *link)) return link;
  // Of a lane set, a board a seat: NAME.SEAT.wire-in.
  const std::size_t dot = link->rfind('.');
  if (dot == std::string::npos) return std::nullopt;
  link->resize(dot);
  return is_named(names, *link) ? link : std::nullopt;
}

}  // namespace slipring::tools

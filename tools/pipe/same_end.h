// Whether one would carry into what one carries from.
#pragma once

#include "pipelines/adapter/endpoint.h"

namespace slipring::tools {

// Of links by their name, of files and FIFOs by what they are: a sink's file is cut when it is
// opened, before a byte of it has been read.  Terminals and sockets, which talk both ways, may be
// both.
[[nodiscard]] bool is_same_end(const Endpoint& from, const Endpoint& to) noexcept;

}  // namespace slipring::tools

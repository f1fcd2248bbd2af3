// A descriptor of an endpoint, and what stands behind it.
#pragma once

#include <memory>
#include <string>

#include "pipelines/adapter/endpoint.h"
#include "pipelines/adapter/open_endpoint.h"
#include "pipelines/adapter/tls_tunnel.h"
#include "platform/process/descriptor.h"
#include "tools/cli/exit_status.h"
#include "tools/pipe/route.h"

namespace slipring::tools {

struct OpenedEnd {
  Descriptor descriptor;
  std::unique_ptr<TlsTunnel> tunnel;  // of tcp+tls
};

// Opens the route's FROM or TO, or complains.
ExitStatus open_end(const Route& route, Direction direction, OpenedEnd& end);

// After the descriptor was read to its end, or closed: whether what stands behind it agrees that
// all is through, or a complaint that it does not.  Unless it `was_carried`, the rest is given up.
[[nodiscard]] bool finish_end(const Route& route, Direction direction, OpenedEnd& end,
                              bool was_carried);

}  // namespace slipring::tools

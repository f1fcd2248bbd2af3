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
  std::unique_ptr<TlsTunnel> tunnel = nullptr;  // of tcp+tls
  Descriptor connection = Descriptor();         // of tcp, as a sink: the same once more
};

// Why nobody can listen at an endpoint, and what to do.
[[nodiscard]] std::string explain_taken(const Endpoint& endpoint);

// Opens the route's FROM or TO, or complains.
ExitStatus open_end(const Route& route, Direction direction, OpenedEnd& end);

// After the pump: whether what stands behind the descriptor agrees that all is through, or a
// complaint that it does not.  A source's has been read to its end; a sink's is closed now, and
// unless the source `is_whole`, what was sent is left without an end.
[[nodiscard]] bool finish_source(const Route& route, OpenedEnd& end,
                                 const Result<PumpReport>& report);
[[nodiscard]] bool finish_sink(const Route& route, OpenedEnd& end, const Result<PumpReport>& report,
                               bool is_whole);

}  // namespace slipring::tools

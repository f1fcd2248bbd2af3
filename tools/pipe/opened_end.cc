#include "tools/pipe/opened_end.h"

#include <utility>

#include "tools/cli/terminal.h"

namespace slipring::tools {

ExitStatus open_end(const Route& route, Direction direction, OpenedEnd& end) {
  const bool is_source = direction == Direction::kSource;
  const Endpoint& endpoint = is_source ? route.from : route.to;
  const std::string& text = is_source ? route.from_text : route.to_text;
  const std::string what = (is_source ? "cannot read " : "cannot write ") + text;
  Result<Descriptor> opened = open_endpoint(endpoint, direction);
  if (!opened) return complain(route.command, what, opened.error());
  if (endpoint.kind != Endpoint::Kind::kTls) {
    end.descriptor = std::move(opened).value();
    return ExitStatus::kOk;
  }
  std::string fault;
  end.tunnel =
      TlsTunnel::open(std::move(opened).value(), endpoint, direction, route.pump.stop, fault);
  if (!end.tunnel) {
    complain(route.command, what + ": " + fault);
    return ExitStatus::kFailure;
  }
  end.descriptor = end.tunnel->take_end();
  return ExitStatus::kOk;
}

bool finish_end(const Route& route, Direction direction, OpenedEnd& end, bool was_carried) {
  end.descriptor = Descriptor();
  if (!end.tunnel) return true;
  if (!was_carried) {
    end.tunnel->abandon();
    return true;
  }
  const std::string fault = end.tunnel->finish();
  if (fault.empty()) return true;
  const bool is_source = direction == Direction::kSource;
  complain(route.command, (is_source ? "not all came from " : "not all went to ") +
                              (is_source ? route.from_text : route.to_text) + ": " + fault);
  return false;
}

}  // namespace slipring::tools

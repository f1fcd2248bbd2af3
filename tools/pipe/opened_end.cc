#include "tools/pipe/opened_end.h"

#include <fcntl.h>

#include <utility>

#include "pipelines/adapter/tcp_farewell.h"
#include "tools/cli/terminal.h"

namespace slipring::tools {

std::string explain_taken(const Endpoint& endpoint) {
  const bool has_path = !endpoint.path.empty();
  return has_path ? "another process listens there, or it is no socket; choose another path"
                  : "another process listens at that port; choose another one";
}

ExitStatus open_end(const Route& route, Direction direction, OpenedEnd& end) {
  const bool is_source = direction == Direction::kSource;
  const Endpoint& endpoint = is_source ? route.from : route.to;
  const std::string& text = is_source ? route.from_text : route.to_text;
  const std::string what = (is_source ? "cannot read " : "cannot write ") + text;
  Result<Descriptor> opened = open_endpoint(endpoint, direction, route.pump.stop);
  // Whoever stopped us knows.
  if (!opened && opened.error().code == ErrorCode::kInterrupted) return ExitStatus::kFailure;
  if (!opened && opened.error().code == ErrorCode::kExists) {
    complain(route.command, what + ": " + explain_taken(endpoint));
    return ExitStatus::kFailure;
  }
  if (!opened) return complain(route.command, what, opened.error());
  if (endpoint.kind != Endpoint::Kind::kTls) {
    end.descriptor = std::move(opened).value();
    if (endpoint.kind == Endpoint::Kind::kTcp && !is_source) {
      end.connection = Descriptor(fcntl(end.descriptor.get(), F_DUPFD_CLOEXEC, 3));
    }
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

bool finish_source(const Route& route, OpenedEnd& end, const Result<PumpReport>& report) {
  end.descriptor = Descriptor();
  if (!end.tunnel) return true;
  const bool has_ended = report.ok() && report.value().end == PumpEnd::kEndOfInput;
  if (!has_ended) {
    end.tunnel->abandon();
    return true;
  }
  const std::string fault = end.tunnel->finish();
  if (fault.empty()) return true;
  complain(route.command, "not all came from " + route.from_text + ": " + fault);
  return false;
}

bool finish_sink(const Route& route, OpenedEnd& end, const Result<PumpReport>& report,
                 bool is_whole) {
  end.descriptor = Descriptor();
  const std::string what = "not all went to " + route.to_text;
  // A reader that has left has heard all that it wanted.
  const bool is_wanted = is_all_read(report) && report.value().end != PumpEnd::kOutputClosed;
  if (end.connection.is_open() && is_whole && is_wanted) {
    const Status said = say_tcp_farewell(end.connection.get(), route.pump.stop);
    if (said.ok()) return true;
    static_cast<void>(complain(route.command, what, said.error()));
    return false;
  }
  if (!end.tunnel) return true;
  if (!is_whole || !is_all_read(report)) {
    end.tunnel->abandon();
    return true;
  }
  // Where it has left it may have said why.
  const std::string fault = end.tunnel->finish();
  if (fault.empty()) return true;
  complain(route.command, what + ": " + fault);
  return false;
}

}  // namespace slipring::tools

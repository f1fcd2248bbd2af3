#include "tools/pipe/pipe.h"

#include <signal.h>

#include <cstdio>
#include <optional>
#include <utility>

#include "pipelines/adapter/carry.h"
#include "pipelines/adapter/endpoint.h"
#include "pipelines/adapter/pump.h"
#include "pipelines/adapter/stream_meeting.h"
#include "tools/cli/selection.h"
#include "tools/cli/stop_flag.h"
#include "tools/cli/terminal.h"
#include "tools/pipe/pump_report.h"

namespace slipring::tools {
namespace {

struct Caller {
  std::string_view command;
  const PipeRequest& request;
};

std::optional<Endpoint> read_endpoint(const Caller& caller, const std::string& text) {
  std::string fault;
  std::optional<Endpoint> endpoint = parse_endpoint(text, fault);
  if (!endpoint) complain(caller.command, "'" + text + "': " + fault);
  return endpoint;
}

// Our end of a stream, and the look at the other one.
template <typename End>
struct StreamSide {
  std::string name;
  std::optional<End> end;
  std::optional<RoleWatch> other;
};

template <typename End>
ExitStatus join(const Caller& caller, const SegmentDirectory& directory, Result<End> met,
                StreamSide<End>& side, Role other_role) {
  const bool writes = other_role == Role::kReader;
  if (!met) {
    return complain_meeting(caller.command, side.name, writes ? "writer" : "reader", met.error());
  }
  side.end.emplace(std::move(met).value());
  Result<RoleWatch> watch = RoleWatch::open(directory, side.name, other_role);
  if (!watch) return complain(caller.command, "cannot look at " + side.name, watch.error());
  side.other.emplace(std::move(watch).value());
  return ExitStatus::kOk;
}

// Lays the role down, for good or for a successor; who leaves last removes the name.
template <typename End>
void leave(const SegmentDirectory& directory, StreamSide<End>& side, bool for_good) {
  if (!side.end) return;
  if (for_good) side.end->close();
  side.end.reset();
  // A failure leaves a name that `slipring rm` takes.
  if (for_good && side.other) {
    static_cast<void>(remove_if_over(directory, side.name, side.other->inode()));
  }
}

// Everything that one call holds.
struct Sides {
  StreamSide<StreamReader> source_stream;
  StreamSide<StreamWriter> sink_stream;
  Descriptor source;
  Descriptor sink;
};

ExitStatus open_source(const Caller& caller, const SegmentDirectory& directory,
                       const Endpoint& endpoint, const StreamMeetingOptions& meeting,
                       Sides& sides) {
  if (endpoint.kind == Endpoint::Kind::kRing) {
    sides.source_stream.name = endpoint.path;
    return join(caller, directory, meet_as_reader(directory, endpoint.path, meeting),
                sides.source_stream, Role::kWriter);
  }
  Result<Descriptor> opened = open_endpoint(endpoint, Direction::kSource);
  if (!opened)
    return complain(caller.command, "cannot read " + caller.request.from, opened.error());
  sides.source = std::move(opened).value();
  return ExitStatus::kOk;
}

ExitStatus open_sink(const Caller& caller, const SegmentDirectory& directory,
                     const Endpoint& endpoint, const StreamMeetingOptions& meeting, Sides& sides) {
  if (endpoint.kind == Endpoint::Kind::kRing) {
    sides.sink_stream.name = endpoint.path;
    return join(caller, directory, meet_as_writer(directory, endpoint.path, meeting),
                sides.sink_stream, Role::kReader);
  }
  Result<Descriptor> opened = open_endpoint(endpoint, Direction::kSink);
  if (!opened) return complain(caller.command, "cannot write " + caller.request.to, opened.error());
  sides.sink = std::move(opened).value();
  return ExitStatus::kOk;
}

Result<PumpReport> move_bytes(Sides& sides, const PumpOptions& options) {
  StreamSide<StreamReader>& from = sides.source_stream;
  StreamSide<StreamWriter>& to = sides.sink_stream;
  if (from.end && to.end) return relay(*from.end, *from.other, *to.end, *to.other, options);
  if (from.end) return drain(*from.end, sides.sink.get(), *from.other, options);
  if (to.end) return fill(*to.end, sides.source.get(), *to.other, options);
  return carry(sides.source.get(), sides.sink.get(), options);
}

// Stopped, or after a failure, the rest is left to a successor.
bool is_all_read(const Result<PumpReport>& report) {
  if (!report) return false;
  switch (report.value().end) {
    case PumpEnd::kEndOfInput:
    case PumpEnd::kWriterDied:
    case PumpEnd::kReaderDied:
    case PumpEnd::kOutputClosed:
      return true;
    case PumpEnd::kCorruptPeer:
    case PumpEnd::kStopped:
      break;
  }
  return false;
}

}  // namespace

ExitStatus pipe(const PipeRequest& request, std::string_view command) {
  const Caller caller{command, request};
  const std::optional<Endpoint> from = read_endpoint(caller, request.from);
  const std::optional<Endpoint> to = read_endpoint(caller, request.to);
  const std::optional<std::uint64_t> capacity_bytes = read_capacity(command, request.capacity);
  if (!from || !to || !capacity_bytes) return ExitStatus::kUsage;
  ExitStatus status = ExitStatus::kOk;
  const std::optional<SegmentDirectory> directory = open_directory(command, status);
  if (!directory) return status;
  StreamMeetingOptions meeting;
  meeting.capacity_bytes = *capacity_bytes;

  const std::atomic<bool>& stop = heed_stop_signals();
  Sides sides;
  status = open_source(caller, *directory, *from, meeting, sides);
  if (status == ExitStatus::kOk) status = open_sink(caller, *directory, *to, meeting, sides);
  if (status != ExitStatus::kOk) return status;

  signal(SIGPIPE, SIG_IGN);
  Result<PumpReport> report = move_bytes(sides, {.stays = request.stay, .stop = &stop});
  signal(SIGPIPE, SIG_DFL);
  leave(*directory, sides.source_stream, !request.stay && is_all_read(report));
  // Closing says that this was all of it; after a failure it was not.
  leave(*directory, sides.sink_stream, !request.stay && report.ok());
  if (!report) {
    return complain(command, "cannot go on from " + request.from + " to " + request.to,
                    report.error());
  }
  if (request.json) {
    const std::string text = pump_report_json(request.from, request.to, *report);
    if (to->kind == Endpoint::Kind::kStandard) {
      std::fputs(text.c_str(), stderr);
    } else {
      print(text);
    }
  }
  if (report->end == PumpEnd::kStopped) die_of_stop_signal();
  // A reader who goes away is nobody's fault: as with a pipe.
  if (report->end == PumpEnd::kOutputClosed) raise(SIGPIPE);
  return judge_pump(command, request.from, request.to, *report);
}

}  // namespace slipring::tools

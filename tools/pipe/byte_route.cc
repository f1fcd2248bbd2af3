#include <optional>
#include <utility>

#include "pipelines/adapter/carry.h"
#include "pipelines/adapter/pump.h"
#include "tools/cli/terminal.h"
#include "tools/pipe/opened_end.h"
#include "tools/pipe/pump_report.h"
#include "tools/pipe/route.h"

namespace slipring::tools {
namespace {

// Our end of a stream, and the look at the other one.
template <typename End>
struct StreamSide {
  std::string name;
  std::optional<End> end;
  std::optional<RoleWatch> other;
  bool is_made = false;  // for us
};

template <typename End>
ExitStatus join(const Route& route, Result<Met<End>> met, StreamSide<End>& side, Role other_role) {
  const bool writes = other_role == Role::kReader;
  if (!met) {
    return complain_meeting(route.command, side.name, writes ? "writer" : "reader", Carried::kBytes,
                            met.error());
  }
  side.end.emplace(std::move(met->end));
  side.is_made = met->is_made;
  Result<RoleWatch> watch = RoleWatch::open(route.directory, side.name, other_role);
  if (!watch) return complain(route.command, "cannot look at " + side.name, watch.error());
  side.other.emplace(std::move(watch).value());
  return ExitStatus::kOk;
}

// Lays the role down, for good or for a successor; who leaves last removes the name.
template <typename End>
void leave(const Route& route, StreamSide<End>& side, Leaving leaving) {
  if (!side.end) return;
  const bool for_good = leaving == Leaving::kForGood;
  if (for_good) side.end->close();
  side.end.reset();
  if (side.other) {
    remove_what_is_over(route, side.name, side.other->inode(), leaving, side.is_made);
  }
}

// Everything that one call holds.
struct Sides {
  StreamSide<StreamReader> source_stream;
  StreamSide<StreamWriter> sink_stream;
  OpenedEnd source;
  OpenedEnd sink;
};

ExitStatus open_source(const Route& route, Sides& sides) {
  if (route.from.kind == Endpoint::Kind::kRing) {
    sides.source_stream.name = route.from.path;
    return join(route,
                meet_as_reader<StreamReader>(route.directory, route.from.path, route.meeting),
                sides.source_stream, Role::kWriter);
  }
  return open_end(route, Direction::kSource, sides.source);
}

ExitStatus open_sink(const Route& route, Sides& sides) {
  if (route.to.kind == Endpoint::Kind::kRing) {
    sides.sink_stream.name = route.to.path;
    return join(route, meet_as_writer<StreamWriter>(route.directory, route.to.path, route.meeting),
                sides.sink_stream, Role::kReader);
  }
  return open_end(route, Direction::kSink, sides.sink);
}

Result<PumpReport> move_bytes(Sides& sides, const PumpOptions& options) {
  StreamSide<StreamReader>& from = sides.source_stream;
  StreamSide<StreamWriter>& to = sides.sink_stream;
  if (from.end && to.end) return relay(*from.end, *from.other, *to.end, *to.other, options);
  if (from.end) return drain(*from.end, sides.sink.descriptor.get(), *from.other, options);
  if (to.end) return fill(*to.end, sides.source.descriptor.get(), *to.other, options);
  return carry(sides.source.descriptor.get(), sides.sink.descriptor.get(), options);
}

}  // namespace

std::optional<Result<PumpReport>> carry_bytes(const Route& route, ExitStatus& status) {
  if (route.from.client_count != 0 || route.to.client_count != 0) {
    complain(route.command, "the bytes of many clients would be mixed: say --lines or --frames");
    status = ExitStatus::kUsage;
    return std::nullopt;
  }
  Sides sides;
  status = open_source(route, sides);
  if (status == ExitStatus::kOk) status = open_sink(route, sides);
  if (status != ExitStatus::kOk) {
    leave(route, sides.source_stream, Leaving::kToSuccessor);
    return std::nullopt;
  }
  Result<PumpReport> report = move_bytes(sides, route.pump);
  const bool is_whole = finish_source(route, sides.source, report);
  leave(route, sides.source_stream, source_leaving(route, report));
  leave(route, sides.sink_stream, sink_leaving(route, report, is_whole));
  const bool is_through = finish_sink(route, sides.sink, report, is_whole);
  if (is_whole && is_through) return report;
  status = ExitStatus::kFailure;
  return std::nullopt;
}

}  // namespace slipring::tools

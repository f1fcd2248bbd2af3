#include <memory>
#include <optional>
#include <utility>

#include "pipelines/adapter/client_messages.h"
#include "pipelines/adapter/datagram_messages.h"
#include "pipelines/adapter/descriptor_messages.h"
#include "pipelines/adapter/link_messages.h"
#include "pipelines/adapter/message_ends.h"
#include "pipelines/adapter/message_pump.h"
#include "pipelines/link/link_segment.h"
#include "tools/cli/terminal.h"
#include "tools/pipe/many_route.h"
#include "tools/pipe/opened_end.h"
#include "tools/pipe/pump_report.h"
#include "tools/pipe/route.h"

namespace slipring::tools {
namespace {

// An end, and the link that it may be of.
template <typename End>
struct Side {
  std::unique_ptr<End> end;
  OpenedEnd behind;       // its descriptor
  std::string link_name;  // empty: not of a link
  std::uint64_t inode = 0;
  bool is_made = false;  // the link, for us
};

// Joins a link; LinkEnd is LinkSource or LinkSink, LinkSide what it is made of.
template <typename LinkEnd, typename LinkSide, typename End>
ExitStatus join(const Route& route, const std::string& name, Result<Met<LinkSide>> met,
                Role other_role, Side<End>& side) {
  if (!met) {
    const char* role = other_role == Role::kReader ? "writer" : "reader";
    return complain_meeting(route.command, name, role, Carried::kMessages, met.error());
  }
  Result<RoleWatch> watch = RoleWatch::open(route.directory, name, other_role);
  if (!watch) return complain(route.command, "cannot look at " + name, watch.error());
  side.link_name = name;
  side.inode = watch->inode();
  side.is_made = met->is_made;
  side.end = std::make_unique<LinkEnd>(std::move(met->end), std::move(watch).value(), route.pump);
  return ExitStatus::kOk;
}

DatagramKind datagram_kind(const Endpoint& endpoint) {
  return endpoint.kind == Endpoint::Kind::kUdp ? DatagramKind::kUdp : DatagramKind::kSeqpacket;
}

ExitStatus open_clients(const Route& route, Side<MessageSource>& side) {
  ClientOptions options;
  options.framing = keeps_boundaries(route.from) ? Framing::kBytes : route.framing;
  options.max_message_bytes = route.max_message_bytes;
  options.client_count = route.from.client_count;
  options.stays = route.pump.stays;
  Result<std::unique_ptr<ClientSource>> clients = ClientSource::listen(route.from, options);
  if (!clients && clients.error().code == ErrorCode::kExists) {
    complain(route.command, "cannot read " + route.from_text + ": " + explain_taken(route.from));
    return ExitStatus::kFailure;
  }
  if (!clients) return complain(route.command, "cannot read " + route.from_text, clients.error());
  side.end = std::move(clients).value();
  return ExitStatus::kOk;
}

// Of a link with many writers or many readers.
ExitStatus join_many(const Route& route, SegmentKind kind, Side<MessageSource>& side) {
  DescribedSource opened;
  const ExitStatus status = open_many_source(route, kind, opened);
  if (status != ExitStatus::kOk) return status;
  if (route.limits.as_json) {
    side.end = std::make_unique<JsonSource>(std::move(opened));
  } else {
    side.end = std::move(opened.source);
  }
  return status;
}

ExitStatus open_source(const Route& route, Side<MessageSource>& side) {
  const Endpoint& from = route.from;
  ExitStatus found = ExitStatus::kOk;
  if (const std::optional<SegmentKind> kind = find_many(route, from, found)) {
    return join_many(route, *kind, side);
  }
  if (found != ExitStatus::kOk) return found;
  if (from.kind == Endpoint::Kind::kRing) {
    return join<LinkSource>(route, from.path,
                            meet_as_reader<LinkReader>(route.directory, from.path, route.meeting),
                            Role::kWriter, side);
  }
  if (from.client_count != 0) return open_clients(route, side);
  OpenedEnd opened;
  const ExitStatus status = open_end(route, Direction::kSource, opened);
  if (status != ExitStatus::kOk) return status;
  side.behind = {Descriptor(), std::move(opened.tunnel), std::move(opened.connection)};
  if (keeps_boundaries(from)) {
    side.end = std::make_unique<DatagramSource>(std::move(opened.descriptor), datagram_kind(from),
                                                route.max_message_bytes);
  } else {
    side.end = std::make_unique<DescriptorSource>(std::move(opened.descriptor), route.framing,
                                                  route.max_message_bytes);
  }
  return ExitStatus::kOk;
}

ExitStatus open_sink(const Route& route, Side<MessageSink>& side) {
  const Endpoint& to = route.to;
  ExitStatus found = ExitStatus::kOk;
  if (const std::optional<SegmentKind> kind = find_many(route, to, found)) {
    return open_many_sink(route, *kind, side.end);
  }
  if (found != ExitStatus::kOk) return found;
  if (to.kind == Endpoint::Kind::kRing) {
    return join<LinkSink>(route, to.path,
                          meet_as_writer<LinkWriter>(route.directory, to.path, route.meeting),
                          Role::kReader, side);
  }
  OpenedEnd opened;
  const ExitStatus status = open_end(route, Direction::kSink, opened);
  if (status != ExitStatus::kOk) return status;
  side.behind = {Descriptor(), std::move(opened.tunnel), std::move(opened.connection)};
  if (keeps_boundaries(to)) {
    side.end = std::make_unique<DatagramSink>(std::move(opened.descriptor), datagram_kind(to));
  } else {
    side.end = std::make_unique<DescriptorSink>(std::move(opened.descriptor), route.framing,
                                                route.max_message_bytes);
  }
  return ExitStatus::kOk;
}

// Before anything is opened: a refusal leaves nothing behind.
bool is_possible(const Route& route) {
  if (route.to.client_count != 0) {
    complain(route.command, "many clients are a source: " + route.to_text + " can be FROM alone");
    return false;
  }
  const bool has_boundaries = route.from.kind == Endpoint::Kind::kRing ||
                              route.from.kind == Endpoint::Kind::kTopic ||
                              route.from.kind == Endpoint::Kind::kMailbox ||
                              keeps_boundaries(route.from) || route.framing != Framing::kBytes;
  if (has_boundaries) return true;
  complain(route.command,
           "how are messages told apart in " + route.from_text + "?  Say --lines or --frames");
  return false;
}

// Lays the role down, for good or for a successor; who leaves last removes the name.
template <typename End>
void leave(const Route& route, Side<End>& side, Leaving leaving) {
  if (leaving == Leaving::kForGood) side.end->close();
  side.end.reset();
  if (!side.link_name.empty()) {
    remove_what_is_over(route, side.link_name, side.inode, leaving, side.is_made);
  }
}

// A mailbox that was made in passing goes with whoever leaves it last, unless mail is unread.
void leave_mailbox(const Route& route, const Endpoint& endpoint) {
  const bool may_be_one =
      endpoint.kind == Endpoint::Kind::kMailbox || endpoint.kind == Endpoint::Kind::kRing;
  if (!may_be_one || route.pump.stays) return;
  // A failure leaves a name that `slipring rm` takes.
  static_cast<void>(remove_if_idle(route.directory, endpoint.path));
}

}  // namespace

std::optional<Result<PumpReport>> carry_messages(const Route& route, ExitStatus& status) {
  if (!is_possible(route)) {
    status = ExitStatus::kUsage;
    return std::nullopt;
  }
  Side<MessageSource> source;
  Side<MessageSink> sink;
  status = open_source(route, source);
  if (status == ExitStatus::kOk) status = open_sink(route, sink);
  if (status != ExitStatus::kOk) {
    leave(route, source, Leaving::kToSuccessor);
    leave(route, sink, Leaving::kToSuccessor);
    leave_mailbox(route, route.from);
    leave_mailbox(route, route.to);
    return std::nullopt;
  }
  LimitedSource* limited = nullptr;
  if (route.limits.are_set()) {
    auto bounded = std::make_unique<LimitedSource>(std::move(source.end), route.limits);
    limited = bounded.get();
    source.end = std::move(bounded);
  }
  Result<PumpReport> report = pump_messages(*source.end, *sink.end, route.pump);
  if (limited != nullptr && limited->has_timed_out()) status = ExitStatus::kWouldBlock;
  const bool is_whole = finish_source(route, source.behind, report);
  leave(route, source,
        status == ExitStatus::kWouldBlock ? Leaving::kToSuccessor : source_leaving(route, report));
  leave(route, sink, sink_leaving(route, report, is_whole));
  leave_mailbox(route, route.from);
  leave_mailbox(route, route.to);
  const bool is_through = finish_sink(route, sink.behind, report, is_whole);
  if (is_whole && is_through) return report;
  status = ExitStatus::kFailure;
  return std::nullopt;
}

}  // namespace slipring::tools

#include "tools/abort/abort.h"

#include <sched.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "pipelines/link/commander.h"
#include "pipelines/link/link_segment.h"
#include "platform/wait/clock.h"
#include "tools/cli/json.h"
#include "tools/cli/segment_facts.h"
#include "tools/cli/selection.h"
#include "tools/cli/terminal.h"
#include "tools/cli/units.h"
#include "tools/cli/wait_times.h"

namespace slipring::tools {
namespace {

constexpr std::string_view kCommand = "abort";
// A reader that is at work looks within a message, one that sleeps within a wake-up.
constexpr std::uint64_t kSpinNs = 200'000;
constexpr std::uint64_t kObservedPauseNs = 50'000;

struct Outcome {
  AbortTicket ticket;
  std::uint64_t queued = 0;  // positions from the reader's cursor to the command's
  std::optional<std::uint64_t> observed_after_ns;
  DropCounts dropped;
};

std::optional<LinkCommander> find_link(const SegmentDirectory& directory, const std::string& name,
                                       ExitStatus& status) {
  Result<LinkCommander> commander = LinkCommander::attach(directory, name);
  if (commander) return std::move(commander).value();
  Result<std::vector<std::string>> names = list_segments(directory);
  if (commander.error().code == ErrorCode::kNotFound && names) {
    complain(kCommand, explain_missing(directory, *names, name));
    status = ExitStatus::kNotFound;
  } else {
    status = complain(kCommand, "cannot open " + name, commander.error());
  }
  return std::nullopt;
}

std::optional<AbortTicket> command(const SegmentDirectory& directory, LinkCommander& commander,
                                   const std::string& name, std::uint64_t deadline_ns,
                                   ExitStatus& status) {
  for (;;) {
    Result<AbortTicket> ticket = commander.abort();
    if (ticket) return *ticket;
    const Error& error = ticket.error();
    if (error.code != ErrorCode::kBusy) {
      status = complain(kCommand, "cannot command the reader of " + name, error);
      return std::nullopt;
    }
    if (monotonic_ns() >= deadline_ns) {
      complain(kCommand, "process " + std::to_string(error.found) +
                             " is commanding the reader of " + name +
                             "; try again, or wait longer with --timeout");
      status = ExitStatus::kWouldBlock;
      return std::nullopt;
    }
    // It is about to be done, or has just been killed; what else is wrong, the next attempt says.
    static_cast<void>(wait_for_role(directory, name, Role::kCommander, deadline_ns));
  }
}

std::optional<std::uint64_t> wait_observed(const LinkCommander& commander,
                                           const AbortTicket& ticket, std::uint64_t deadline_ns) {
  for (;;) {
    const bool is_obeyed = commander.is_obeyed(ticket);
    const std::uint64_t now_ns = monotonic_ns();
    if (is_obeyed) return now_ns - ticket.issued_ns;
    if (now_ns >= deadline_ns) return std::nullopt;
    if (now_ns - ticket.issued_ns < kSpinNs) {
      sched_yield();
    } else {
      pause_for(kObservedPauseNs);
    }
  }
}

std::string messages_text(std::uint64_t count) {
  return std::to_string(count) + (count == 1 ? " message" : " messages");
}

// "12 messages, 3.4 MiB"; of a stream only the bytes.
std::string amount(const LinkShape& shape, const DropCounts& counts) {
  const std::string bytes = binary_size(counts.bytes);
  if (shape.kind == SegmentKind::kStreamLink) return bytes;
  return messages_text(counts.messages) + ", " + bytes;
}

void print_result(const AbortRequest& request, const LinkShape& shape, const Outcome& outcome) {
  const AbortCommand& first = outcome.ticket.lanes.front();
  const std::uint64_t before = first.boundary.position;
  if (!request.json) {
    if (outcome.observed_after_ns) {
      print(request.name + " dropped " + amount(shape, outcome.dropped) +
            (is_lane_set(shape) ? "" : " before position " + std::to_string(before)) + ", " +
            latency(*outcome.observed_after_ns) + " after the command\n");
    }
    return;
  }
  JsonWriter json;
  json.begin_document();
  json.member("name", request.name);
  json.member("kind", name_of(segment_kind(shape)));
  if (!is_lane_set(shape)) json.member("before", before);
  json.member("queued", outcome.queued);
  if (request.wait) json.member("observed", outcome.observed_after_ns.has_value());
  if (outcome.observed_after_ns) {
    json.member("observed_after_us", static_cast<double>(*outcome.observed_after_ns) / 1e3);
    json.member("dropped_messages", outcome.dropped.messages);
    json.member("dropped_bytes", outcome.dropped.bytes);
  }
  print(json.end_document());
}

}  // namespace

ExitStatus abort_queued(const AbortRequest& request) {
  const std::optional<WaitTimes> times =
      read_wait_times(kCommand, request.timeout_seconds, request.wait_seconds);
  if (!times) return ExitStatus::kUsage;
  ExitStatus status = ExitStatus::kOk;
  const std::optional<SegmentDirectory> directory = open_directory(kCommand, status);
  if (!directory) return status;
  std::optional<LinkCommander> commander = find_link(*directory, request.name, status);
  if (!commander) return status;
  const std::optional<AbortTicket> ticket =
      command(*directory, *commander, request.name, deadline_after(times->timeout_ns), status);
  if (!ticket) return status;

  const LinkReport report = commander->link().report();
  Outcome outcome;
  outcome.ticket = *ticket;
  // Of a set: what all lanes hold, the positions added up.
  std::uint64_t end = 0;
  for (const AbortCommand& lane : ticket->lanes) end += lane.boundary.position;
  if (end > report.done) outcome.queued = end - report.done;
  if (presence_of(report.reader) != Presence::kHeld) {
    remark(kCommand,
           "nobody reads " + request.name + " now; the command stays there for whoever reads next");
  }
  if (request.wait) {
    outcome.observed_after_ns = wait_observed(*commander, *ticket, deadline_after(times->wait_ns));
    if (outcome.observed_after_ns) outcome.dropped = commander->dropped(*ticket);
  }
  print_result(request, report.shape, outcome);
  if (!request.wait || outcome.observed_after_ns) return ExitStatus::kOk;
  complain(kCommand, "the reader of " + request.name + " has not dropped it within " +
                         latency(times->wait_ns) + "; it still will");
  return ExitStatus::kWouldBlock;
}

}  // namespace slipring::tools

#include "tools/pipe/pipe.h"

#include <signal.h>

#include <charconv>
#include <cstdio>
#include <optional>
#include <utility>

#include "pipelines/link/link_segment.h"
#include "tools/cli/segment_owner.h"
#include "tools/cli/selection.h"
#include "tools/cli/stop_flag.h"
#include "tools/cli/terminal.h"
#include "tools/cli/units.h"
#include "tools/pipe/many_route.h"
#include "tools/pipe/pump_report.h"
#include "tools/pipe/route.h"
#include "tools/pipe/same_end.h"

namespace slipring::tools {
namespace {

std::optional<Endpoint> read_endpoint(std::string_view command, const std::string& text) {
  std::string fault;
  std::optional<Endpoint> endpoint = parse_endpoint(text, fault);
  if (!endpoint) complain(command, "'" + text + "': " + fault);
  return endpoint;
}

std::optional<Framing> read_framing(std::string_view command, const PipeRequest& request) {
  if (request.lines && request.frames) {
    complain(command, "--lines and --frames are two ways to tell messages apart; choose one");
    return std::nullopt;
  }
  if (request.lines) return Framing::kLines;
  return request.frames ? Framing::kFrames : Framing::kBytes;
}

std::optional<ReadLimits> read_limits(std::string_view command, const PipeRequest& request) {
  ReadLimits limits;
  limits.from_oldest = request.oldest;
  if (!request.count.empty()) {
    const char* end = request.count.data() + request.count.size();
    const auto [stop, fault] = std::from_chars(request.count.data(), end, limits.count);
    if (fault != std::errc{} || stop != end || limits.count == 0) {
      complain(command, "--count '" + request.count + "' is no positive whole number");
      return std::nullopt;
    }
  }
  if (!request.wait_seconds.empty()) {
    const std::optional<std::uint64_t> wait_ns = parse_seconds_ns(request.wait_seconds);
    if (!wait_ns || *wait_ns == 0) {
      complain(command, "--wait '" + request.wait_seconds + "' is no number of seconds");
      return std::nullopt;
    }
    limits.wait_ns = *wait_ns;
  }
  return limits;
}

bool is_of_many(const Route& route, const Endpoint& endpoint) {
  if (endpoint.kind == Endpoint::Kind::kTopic || endpoint.kind == Endpoint::Kind::kMailbox) {
    return true;
  }
  ExitStatus status = ExitStatus::kOk;
  return find_many(route, endpoint, status).has_value();
}

bool are_different(const Route& route) {
  if (!is_same_end(route.from, route.to)) return true;
  complain(route.command, route.from_text + " and " + route.to_text +
                              " are the same: what goes in would come out again; give another TO");
  return false;
}

void print_report(const Route& route, const PumpReport& report, Carried carried) {
  const std::string text = pump_report_json(route.from_text, route.to_text, report, carried);
  if (route.to.kind == Endpoint::Kind::kStandard) {
    std::fputs(text.c_str(), stderr);
  } else {
    print(text);
  }
}

}  // namespace

ExitStatus pipe(const PipeRequest& request, std::string_view command) {
  const std::optional<Endpoint> from = read_endpoint(command, request.from);
  const std::optional<Endpoint> to = read_endpoint(command, request.to);
  const std::optional<std::uint64_t> capacity_bytes = read_capacity(command, request.capacity);
  const std::optional<Framing> framing = read_framing(command, request);
  const std::optional<std::uint64_t> max_bytes = read_max_message(command, request.max_message);
  const std::optional<ReadLimits> limits = read_limits(command, request);
  if (!from || !to || !capacity_bytes || !framing || !max_bytes || !limits)
    return ExitStatus::kUsage;
  ExitStatus status = ExitStatus::kOk;
  const std::optional<SegmentDirectory> directory = open_directory(command, status);
  if (!directory) return status;
  const std::atomic<bool>& stop = heed_stop_signals();
  Route route{.command = command,
              .from_text = request.from,
              .to_text = request.to,
              .from = *from,
              .to = *to,
              .directory = *directory,
              .meeting = {.capacity_bytes = *capacity_bytes},
              .framing = *framing,
              .max_message_bytes = *max_bytes,
              .pump = {.stays = request.stay, .stop = &stop, .abort_signal = SIGRTMIN},
              .limits = *limits,
              .lanes = {.waits = !request.no_wait, .wait_ns = limits->wait_ns, .stop = &stop}};
  if (!are_different(route)) return ExitStatus::kUsage;
  if (!read_owner(command, request.mode, request.group, route.meeting.segment)) {
    return ExitStatus::kUsage;
  }
  route.pump.awaits_sender = !request.no_wait;
  if (command == "put") {
    route.pump.room_wait_ns = limits->wait_ns;
    route.limits = {};
  }
  const bool reads_many = is_of_many(route, *from);
  const bool is_of_messages = reads_many || is_of_many(route, *to) || keeps_boundaries(*from) ||
                              keeps_boundaries(*to) || *framing != Framing::kBytes;
  const Carried carried = is_of_messages ? Carried::kMessages : Carried::kBytes;
  if (route.limits.are_set() && carried == Carried::kBytes) {
    complain(command, "--count and --wait are about messages; say --lines or --frames");
    return ExitStatus::kUsage;
  }
  if (request.no_wait && !reads_many && !is_of_many(route, *to)) {
    complain(command, "--no-wait is about links of many senders or readers");
    return ExitStatus::kUsage;
  }
  // Messages for people are lines.
  const bool prints = command == "get" && reads_many;
  if (prints && route.framing == Framing::kBytes) route.framing = Framing::kLines;
  route.limits.as_json = prints && request.json;

  signal(SIGPIPE, SIG_IGN);
  const std::optional<Result<PumpReport>> report =
      carried == Carried::kMessages ? carry_messages(route, status) : carry_bytes(route, status);
  signal(SIGPIPE, SIG_DFL);
  if (!report && status != ExitStatus::kOk && stop.load(std::memory_order_relaxed)) {
    die_of_stop_signal();  // relaxed: nothing else is published with the flag
  }
  if (!report) return status;
  if (!report->ok()) return complain_failure(command, request.from, request.to, report->error());
  const PumpReport& end = report->value();
  if (request.json) print_report(route, end, carried);
  remark_losses(command, end);
  if (status == ExitStatus::kWouldBlock) return status;
  if (end.end == PumpEnd::kStopped) die_of_stop_signal();
  // A reader who goes away is nobody's fault: as with a pipe.
  if (end.end == PumpEnd::kOutputClosed) raise(SIGPIPE);
  return judge_pump(command, request.from, request.to, end);
}

bool is_all_read(const Result<PumpReport>& report) noexcept {
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

Leaving source_leaving(const Route& route, const Result<PumpReport>& report) noexcept {
  return !route.pump.stays && is_all_read(report) ? Leaving::kForGood : Leaving::kToSuccessor;
}

Leaving sink_leaving(const Route& route, const Result<PumpReport>& report, bool is_whole) noexcept {
  if (route.pump.stays || !report.ok() || !is_whole) return Leaving::kToSuccessor;
  const PumpReport& end = report.value();
  const bool has_begun = end.moved_bytes != 0 || end.moved_messages != 0;
  return end.end != PumpEnd::kStopped || has_begun ? Leaving::kForGood : Leaving::kToSuccessor;
}

void remove_what_is_over(const Route& route, const std::string& name, std::uint64_t inode,
                         Leaving leaving, bool is_made) noexcept {
  if (leaving == Leaving::kForGood) {
    static_cast<void>(remove_if_over(route.directory, name, inode));
  } else if (is_made && !route.pump.stays) {
    static_cast<void>(remove_if_untouched(route.directory, name, inode));
  }
}

}  // namespace slipring::tools

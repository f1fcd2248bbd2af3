#include "tools/pipe/pipe.h"

#include <signal.h>

#include <cstdio>
#include <optional>
#include <utility>

#include "tools/cli/selection.h"
#include "tools/cli/stop_flag.h"
#include "tools/cli/terminal.h"
#include "tools/pipe/pump_report.h"
#include "tools/pipe/route.h"

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
  if (!from || !to || !capacity_bytes || !framing || !max_bytes) return ExitStatus::kUsage;
  ExitStatus status = ExitStatus::kOk;
  const std::optional<SegmentDirectory> directory = open_directory(command, status);
  if (!directory) return status;
  const std::atomic<bool>& stop = heed_stop_signals();
  const Route route{.command = command,
                    .from_text = request.from,
                    .to_text = request.to,
                    .from = *from,
                    .to = *to,
                    .directory = *directory,
                    .meeting = {.capacity_bytes = *capacity_bytes},
                    .framing = *framing,
                    .max_message_bytes = *max_bytes,
                    .pump = {.stays = request.stay, .stop = &stop, .abort_signal = SIGRTMIN}};
  const Carried carried =
      *framing != Framing::kBytes || keeps_boundaries(*from) || keeps_boundaries(*to)
          ? Carried::kMessages
          : Carried::kBytes;

  signal(SIGPIPE, SIG_IGN);
  const std::optional<Result<PumpReport>> report =
      carried == Carried::kMessages ? carry_messages(route, status) : carry_bytes(route, status);
  signal(SIGPIPE, SIG_DFL);
  if (!report) return status;
  if (!report->ok()) return complain_failure(command, request.from, request.to, report->error());
  const PumpReport& end = report->value();
  if (request.json) print_report(route, end, carried);
  remark_losses(command, end);
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

}  // namespace slipring::tools

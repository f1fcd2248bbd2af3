#include "tools/get/get.h"

#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <optional>

#include "pipelines/adapter/pump.h"
#include "pipelines/adapter/stream_meeting.h"
#include "tools/cli/pump_report.h"
#include "tools/cli/selection.h"
#include "tools/cli/stop_flag.h"
#include "tools/cli/terminal.h"

namespace slipring::tools {
namespace {

constexpr std::string_view kCommand = "get";

}  // namespace

ExitStatus get(const GetRequest& request) {
  ExitStatus status = ExitStatus::kOk;
  const std::optional<SegmentDirectory> directory = open_directory(kCommand, status);
  if (!directory) return status;
  StreamMeetingOptions meeting;
  const std::optional<std::uint64_t> capacity_bytes = read_capacity(kCommand, request.capacity);
  if (!capacity_bytes) return ExitStatus::kUsage;
  meeting.capacity_bytes = *capacity_bytes;

  const std::atomic<bool>& stop = heed_stop_signals();
  Result<StreamReader> met = meet_as_reader(*directory, request.name, meeting);
  if (!met) return complain_meeting(kCommand, request.name, "reader", met.error());
  std::optional<StreamReader> reader(std::move(met).value());
  Result<RoleWatch> writer = RoleWatch::open(*directory, request.name, Role::kWriter);
  if (!writer) return complain(kCommand, "cannot look at " + request.name, writer.error());

  signal(SIGPIPE, SIG_IGN);
  Result<PumpReport> report =
      drain(*reader, STDOUT_FILENO, *writer, {.stays = request.stay, .stop = &stop});
  signal(SIGPIPE, SIG_DFL);
  // Stopped, or with an output that failed, we leave the rest to a successor.
  const bool is_over =
      report && (report->end == PumpEnd::kEndOfInput || report->end == PumpEnd::kPeerDied ||
                 report->end == PumpEnd::kOutputClosed);
  if (is_over && !request.stay) reader->close();
  reader.reset();
  if (is_over && !request.stay) {
    static_cast<void>(remove_if_left(*directory, request.name, writer->inode()));
  }
  if (!report) return complain(kCommand, "cannot go on with " + request.name, report.error());
  if (request.json) std::fputs(pump_report_json(request.name, *report).c_str(), stderr);
  if (report->end == PumpEnd::kStopped) die_of_stop_signal();
  if (report->end == PumpEnd::kOutputClosed) raise(SIGPIPE);
  return judge_pump(kCommand, request.name, "writer", *report);
}

}  // namespace slipring::tools

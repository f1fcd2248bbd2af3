#include "tools/put/put.h"

#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <optional>

#include "pipelines/adapter/pump.h"
#include "pipelines/adapter/stream_meeting.h"
#include "tools/cli/pump_report.h"
#include "tools/cli/selection.h"
#include "tools/cli/stop_flag.h"
#include "tools/cli/terminal.h"

namespace slipring::tools {
namespace {

constexpr std::string_view kCommand = "put";

}  // namespace

ExitStatus put(const PutRequest& request) {
  ExitStatus status = ExitStatus::kOk;
  const std::optional<SegmentDirectory> directory = open_directory(kCommand, status);
  if (!directory) return status;
  StreamMeetingOptions meeting;
  const std::optional<std::uint64_t> capacity_bytes = read_capacity(kCommand, request.capacity);
  if (!capacity_bytes) return ExitStatus::kUsage;
  meeting.capacity_bytes = *capacity_bytes;

  const std::atomic<bool>& stop = heed_stop_signals();
  Result<StreamWriter> met = meet_as_writer(*directory, request.name, meeting);
  if (!met) return complain_meeting(kCommand, request.name, "writer", met.error());
  std::optional<StreamWriter> writer(std::move(met).value());
  Result<RoleWatch> reader = RoleWatch::open(*directory, request.name, Role::kReader);
  if (!reader) return complain(kCommand, "cannot look at " + request.name, reader.error());

  Result<PumpReport> report =
      fill(*writer, STDIN_FILENO, *reader, {.stays = request.stay, .stop = &stop});
  // Closing says that this was all of it; after a failure it was not.
  if (!request.stay && report) writer->close();
  const bool reader_left = writer->is_peer_closed();
  writer.reset();
  if (reader_left) static_cast<void>(remove_if_left(*directory, request.name, reader->inode()));
  if (!report) return complain(kCommand, "cannot go on with " + request.name, report.error());
  if (request.json) print(pump_report_json(request.name, *report));
  if (report->end == PumpEnd::kStopped) die_of_stop_signal();
  // A reader who goes away is nobody's fault: as with a pipe.
  if (report->end == PumpEnd::kPeerClosed) raise(SIGPIPE);
  return judge_pump(kCommand, request.name, "reader", *report);
}

}  // namespace slipring::tools

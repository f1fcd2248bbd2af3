#include "tools/pipe/pump_report.h"

#include "core/ring/byte_stream.h"
#include "pipelines/link/link_layout.h"
#include "pipelines/stage/pipeline_file.h"
#include "tools/cli/json.h"
#include "tools/cli/terminal.h"

namespace slipring::tools {
namespace {

const char* name_of(PumpEnd end) noexcept {
  switch (end) {
    case PumpEnd::kEndOfInput:
      return "end_of_input";
    case PumpEnd::kWriterDied:
      return "writer_died";
    case PumpEnd::kReaderDied:
      return "reader_died";
    case PumpEnd::kOutputClosed:
      return "output_closed";
    case PumpEnd::kCorruptPeer:
      return "corrupt_peer";
    case PumpEnd::kStopped:
      return "stopped";
  }
  return "unknown";
}

}  // namespace

std::string pump_report_json(const std::string& from, const std::string& to,
                             const PumpReport& report) {
  JsonWriter json;
  json.begin_document();
  json.member("from", from);
  json.member("to", to);
  json.member("end", name_of(report.end));
  json.member("moved_bytes", report.moved_bytes);
  json.member("repeated_bytes", report.repeated_bytes);
  return json.end_document();
}

ExitStatus judge_pump(std::string_view command, const std::string& from, const std::string& to,
                      const PumpReport& report) {
  const std::string moved = std::to_string(report.moved_bytes) + " bytes";
  switch (report.end) {
    case PumpEnd::kEndOfInput:
    case PumpEnd::kOutputClosed:
    case PumpEnd::kStopped:
      return ExitStatus::kOk;
    case PumpEnd::kWriterDied:
      complain(command, "the writer of " + from + " died without closing, after " + moved +
                            "; with --stay a successor would go on");
      break;
    case PumpEnd::kReaderDied:
      complain(command, "the reader of " + to + " died without closing, after " + moved +
                            "; with --stay a successor would go on");
      break;
    case PumpEnd::kCorruptPeer:
      complain(command, "impossible values stand in the ring from " + from + " to " + to +
                            ", after " + moved + "; `slipring rm` it and begin anew");
      break;
  }
  return ExitStatus::kFailure;
}

std::optional<std::uint64_t> read_capacity(std::string_view command, const std::string& text) {
  const std::optional<std::uint64_t> bytes = parse_size_bytes(text);
  if (bytes && stream_validate({*bytes, 0})) return bytes;
  complain(command, "--capacity '" + text + "' is no power of two; write 65536, 64KiB, or 4MiB");
  return std::nullopt;
}

ExitStatus complain_meeting(std::string_view command, const std::string& name,
                            std::string_view role, const Error& error) {
  const std::string what = "cannot be the " + std::string(role) + " of " + name;
  if (error.code == ErrorCode::kBusy) {
    complain(command,
             what + ": process " + std::to_string(error.found) + " is; a stream has one at a time");
    return ExitStatus::kWouldBlock;
  }
  if (error.code == ErrorCode::kVersion &&
      error.wanted == static_cast<std::uint64_t>(SegmentKind::kStreamLink)) {
    complain(command, what + ": it is no stream but carries " +
                          slipring::name_of(static_cast<SegmentKind>(error.found)) +
                          "; choose another name, `slipring ls` shows those in use");
    return ExitStatus::kVersion;
  }
  return complain(command, what, error);
}

}  // namespace slipring::tools

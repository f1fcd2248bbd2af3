#include "tools/pipe/pump_report.h"

#include "core/ring/byte_stream.h"
#include "pipelines/adapter/message_framer.h"
#include "pipelines/link/link_layout.h"
#include "pipelines/stage/pipeline_file.h"
#include "pipelines/stage/quantity.h"
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
                             const PumpReport& report, Carried carried) {
  JsonWriter json;
  json.begin_document();
  json.member("from", from);
  json.member("to", to);
  json.member("end", name_of(report.end));
  json.member("moved_bytes", report.moved_bytes);
  json.member("repeated_bytes", report.repeated_bytes);
  if (carried == Carried::kMessages) {
    json.member("moved_messages", report.moved_messages);
    json.member("repeated_messages", report.repeated_messages);
    json.member("aborted_messages", report.aborted_messages);
    json.member("ambiguous_messages", report.ambiguous_messages);
    json.member("truncated_messages", report.truncated_messages);
    json.member("overrun_messages", report.overrun_messages);
    json.member("unheard_messages", report.unheard_messages);
    json.member("client_count", report.client_count);
    json.member("displaced_clients", report.displaced_clients);
    json.member("refused_clients", report.refused_clients);
    json.member("lost_messages", report.lost_messages);
    json.member("corrupt_lanes", report.corrupt_lanes);
  }
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

ExitStatus complain_failure(std::string_view command, const std::string& from,
                            const std::string& to, const Error& error) {
  const std::string what = "cannot go on from " + from + " to " + to;
  if (error.code == ErrorCode::kDamagedData && error.found > error.wanted) {
    complain(command, what + ": a message is longer than " + std::to_string(error.wanted) +
                          " bytes (" + std::to_string(error.found) +
                          " at least); --max-message says how long one may be, --capacity how "
                          "large the ring is, twice as large at least");
    return ExitStatus::kFailure;
  }
  if (error.code == ErrorCode::kDamagedData) {
    complain(command, what + ": the input ends inside a frame, " + std::to_string(error.found) +
                          " bytes of " + std::to_string(error.wanted) + " have come");
    return ExitStatus::kFailure;
  }
  if (error.code == ErrorCode::kBusy && error.wanted != 0) {
    const std::string share =
        error.found != 0 ? std::to_string(error.found) + " messages, " : std::string();
    complain(command, what + ": nobody has read, and one sender's share is used up (" + share +
                          std::to_string(error.wanted) + " bytes); what was put stays there");
    return ExitStatus::kWouldBlock;
  }
  return complain(command, what, error);
}

void remark_losses(std::string_view command, const PumpReport& report) {
  const auto say = [&](const char* what, std::uint64_t count) {
    if (count != 0) remark(command, what + std::to_string(count));
  };
  say("datagrams longer than a message may be, left out whole: ", report.truncated_messages);
  say("datagrams lost because the socket's buffer was full: ", report.overrun_messages);
  say("times the other machine said that nobody listens there: ", report.unheard_messages);
  say("clients sent away, since what they sent was too long or torn: ", report.refused_clients);
  say("clients that had sent nothing and gave way to others: ", report.displaced_clients);
  say("messages lost, since we were slower than their writer: ", report.lost_messages);
  say("senders shut out, since they wrote impossible values: ", report.corrupt_lanes);
  say("messages with a line feed inside, which look like several lines: ",
      report.ambiguous_messages);
}

std::optional<std::uint64_t> read_max_message(std::string_view command, const std::string& text) {
  const std::optional<std::uint64_t> bytes = parse_size_bytes(text);
  if (bytes && *bytes != 0 && *bytes <= kMaxFrameBytes) return bytes;
  complain(command, "--max-message '" + text + "' is no size below 4 GiB; write 64KiB, or 4MiB");
  return std::nullopt;
}

std::optional<std::uint64_t> read_capacity(std::string_view command, const std::string& text) {
  const std::optional<std::uint64_t> bytes = parse_size_bytes(text);
  if (bytes && stream_validate({*bytes, 0})) return bytes;
  complain(command, "--capacity '" + text + "' is no power of two; write 65536, 64KiB, or 4MiB");
  return std::nullopt;
}

ExitStatus complain_meeting(std::string_view command, const std::string& name,
                            std::string_view role, Carried carried, const Error& error) {
  const bool is_stream = carried == Carried::kBytes;
  const std::string what = "cannot be the " + std::string(role) + " of " + name;
  if (error.code == ErrorCode::kBusy) {
    complain(command, what + ": process " + std::to_string(error.found) + " is; a " +
                          (is_stream ? "stream" : "link") + " has one at a time");
    return ExitStatus::kWouldBlock;
  }
  const auto wanted = is_stream ? SegmentKind::kStreamLink : SegmentKind::kRecordLink;
  if (error.code == ErrorCode::kVersion && error.wanted == static_cast<std::uint64_t>(wanted)) {
    const auto found = static_cast<SegmentKind>(error.found);
    std::string remedy = "; choose another name, `slipring ls` shows those in use";
    if (is_stream && found == SegmentKind::kRecordLink) {
      remedy = "; say how these are to be told apart, by --lines or --frames";
    } else if (!is_stream && found == SegmentKind::kStreamLink) {
      remedy = "; without --lines and --frames its bytes are carried as they are";
    }
    complain(command, what + ": it is no " + (is_stream ? "stream" : "link of records") +
                          " but carries " + slipring::name_of(found) + remedy);
    return ExitStatus::kVersion;
  }
  return complain(command, what, error);
}

}  // namespace slipring::tools

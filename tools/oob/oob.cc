#include "tools/oob/oob.h"

#include <sched.h>

#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "pipelines/link/link_observer.h"
#include "pipelines/link/link_segment.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/stage/oob.h"
#include "pipelines/stage/pipeline_plan.h"
#include "pipelines/stage/stage.h"
#include "platform/wait/clock.h"
#include "platform/wait/waiter.h"
#include "tools/cli/json.h"
#include "tools/cli/segment_facts.h"
#include "tools/cli/selection.h"
#include "tools/cli/terminal.h"
#include "tools/cli/units.h"
#include "tools/cli/wait_times.h"

namespace slipring::tools {
namespace {

constexpr std::string_view kCommand = "oob";
// A lane is small.  Larger record links carry data, which a stray command would spoil.
constexpr std::uint64_t kMaxLaneBytes = 64 * 1024;
// A stage that polls takes a command within microseconds, one that sleeps within a wake-up.
constexpr std::uint64_t kSpinNs = 200'000;
constexpr std::uint64_t kTakenPauseNs = 50'000;

std::optional<std::string> command_text(const OobRequest& request) {
  std::string text;
  for (const std::string& word : request.words) text += (text.empty() ? "" : " ") + word;
  const bool is_printable =
      text.find_first_not_of(
          " !\"#$%&'()*+,-./"
          "0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz"
          "{|}~") == std::string::npos;
  if (text.empty() || !is_printable || text.size() > kMaxCommandBytes) {
    complain(kCommand, "a command is 1 to " + std::to_string(kMaxCommandBytes) +
                           " printable ASCII characters");
    return std::nullopt;
  }
  return text;
}

// The lane, looked at without taking part.
std::optional<LinkObserver> find_lane(const SegmentDirectory& directory, const std::string& lane,
                                      ExitStatus& status) {
  Result<LinkObserver> observer = LinkObserver::attach(directory, lane);
  if (!observer) {
    Result<std::vector<std::string>> names = list_segments(directory);
    if (observer.error().code == ErrorCode::kNotFound && names) {
      complain(kCommand, explain_missing(directory, *names, lane) + "; is the pipeline running?");
      status = ExitStatus::kNotFound;
    } else {
      status = complain(kCommand, "cannot open lane " + lane, observer.error());
    }
    return std::nullopt;
  }
  const LinkShape shape = observer->report().shape;
  if (shape.kind != SegmentKind::kRecordLink || shape.capacity_bytes > kMaxLaneBytes) {
    complain(kCommand, lane +
                           " is a data link and no command lane; the pipeline file names the "
                           "lanes under [[oob]]");
    status = ExitStatus::kUsage;
    return std::nullopt;
  }
  return std::move(observer).value();
}

std::optional<LinkWriter> take_lane(const SegmentDirectory& directory, const std::string& lane,
                                    std::uint64_t deadline_ns, ExitStatus& status) {
  for (;;) {
    Result<LinkWriter> writer = LinkWriter::attach(directory, lane, MemoryLock::kOff);
    if (writer) return std::move(writer).value();
    const Error& error = writer.error();
    if (error.code != ErrorCode::kBusy) {
      status = complain(kCommand, "cannot write to lane " + lane, error);
      return std::nullopt;
    }
    if (monotonic_ns() >= deadline_ns) {
      complain(kCommand, "lane " + lane + " is still in use: process " +
                             std::to_string(error.found) +
                             " writes to it; try again, or wait longer with --timeout");
      status = ExitStatus::kWouldBlock;
      return std::nullopt;
    }
    // Another command is about to leave the lane, or has just been killed.  An answer other than
    // "free" is attach()'s to give, too.
    static_cast<void>(wait_for_role(directory, lane, Role::kWriter, deadline_ns));
  }
}

// Puts the command into the lane and answers the position behind it.
std::optional<std::uint64_t> send(LinkWriter& writer, const LinkObserver& observer,
                                  const std::string& lane, const Command& command,
                                  std::uint64_t deadline_ns, ExitStatus& status) {
  const std::string record = encode_command(command);
  Waiter waiter;
  std::span<std::byte> place;
  for (;;) {
    const Transfer answer = writer.try_reserve(record.size(), place);
    if (answer == Transfer::kDone) break;
    if (answer == Transfer::kCorruptPeer) {
      complain(kCommand, "lane " + lane + " holds impossible values; restart the pipeline");
      status = ExitStatus::kFailure;
      return std::nullopt;
    }
    const WaitPoint point = writer.space_point();
    const WaitOutcome outcome = waiter.wait(
        std::span<const WaitPoint>(&point, 1), [&] { return writer.has_space(record.size()); },
        deadline_ns);
    if (outcome == WaitOutcome::kReady) continue;
    complain(kCommand, "lane " + lane + " is full: its stage has not taken earlier commands");
    status = ExitStatus::kWouldBlock;
    return std::nullopt;
  }
  std::memcpy(place.data(), record.data(), record.size());
  writer.commit(record.size());
  // Nobody else writes as long as we hold the role.
  return observer.report().tail;
}

// How long it took until the stage had the command; nothing at the deadline.
std::optional<std::uint64_t> wait_taken(const LinkObserver& observer, std::uint64_t position,
                                        std::uint64_t issued_ns, std::uint64_t deadline_ns) {
  for (;;) {
    const bool is_taken = observer.report().done >= position;
    const std::uint64_t now_ns = monotonic_ns();
    if (is_taken) return now_ns - issued_ns;
    if (now_ns >= deadline_ns) return std::nullopt;
    if (now_ns - issued_ns < kSpinNs) {
      sched_yield();
    } else {
      pause_for(kTakenPauseNs);
    }
  }
}

void print_result(const OobRequest& request, const std::string& text,
                  std::optional<std::uint64_t> taken_after_ns) {
  if (!request.json) {
    if (taken_after_ns) {
      print(request.lane + " took '" + text + "' after " + latency(*taken_after_ns) + "\n");
    }
    return;
  }
  JsonWriter json;
  json.begin_document();
  json.member("lane", request.lane);
  json.member("command", text);
  json.member("sent", true);
  if (request.wait) json.member("taken", taken_after_ns.has_value());
  if (taken_after_ns) json.member("taken_after_ns", *taken_after_ns);
  print(json.end_document());
}

}  // namespace

ExitStatus oob(const OobRequest& request) {
  const std::optional<std::string> text = command_text(request);
  const std::optional<WaitTimes> times =
      read_wait_times(kCommand, request.timeout_seconds, request.wait_seconds);
  if (!text || !times) return ExitStatus::kUsage;
  ExitStatus status = ExitStatus::kOk;
  const std::optional<SegmentDirectory> directory = open_directory(kCommand, status);
  if (!directory) return status;
  const std::optional<LinkObserver> observer = find_lane(*directory, request.lane, status);
  if (!observer) return status;

  const std::uint64_t issued_ns = monotonic_ns();
  const std::uint64_t deadline_ns = deadline_after(times->timeout_ns);
  std::optional<std::uint64_t> position;
  {
    // Held for the sending only, so that the next command need not wait for the stage.
    std::optional<LinkWriter> writer = take_lane(*directory, request.lane, deadline_ns, status);
    if (!writer) return status;
    position = send(*writer, *observer, request.lane, {issued_ns, *text}, deadline_ns, status);
    if (!position) return status;
  }
  if (presence_of(observer->report().reader) != Presence::kHeld) {
    remark(kCommand, "no stage is attached to " + request.lane +
                         " now; the command stays there for the next one");
  }
  std::optional<std::uint64_t> taken_after_ns;
  if (request.wait) {
    taken_after_ns = wait_taken(*observer, *position, issued_ns, deadline_after(times->wait_ns));
  }
  print_result(request, *text, taken_after_ns);
  if (!request.wait || taken_after_ns) return ExitStatus::kOk;
  complain(kCommand, request.lane + " has not taken '" + *text + "' within " +
                         latency(times->wait_ns) + "; it is still in the lane");
  return ExitStatus::kWouldBlock;
}

}  // namespace slipring::tools

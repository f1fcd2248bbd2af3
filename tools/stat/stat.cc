#include "tools/stat/stat.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "pipelines/stage/error_text.h"
#include "pipelines/stage/stage.h"
#include "platform/wait/clock.h"
#include "tools/cli/segment_facts.h"
#include "tools/cli/selection.h"
#include "tools/cli/terminal.h"
#include "tools/cli/units.h"
#include "tools/stat/report.h"
#include "tools/stat/sample.h"

namespace slipring::tools {
namespace {

constexpr std::string_view kCommand = "stat";
constexpr std::uint64_t kDefaultIntervalNs = 1'000'000'000;

struct Schedule {
  std::uint64_t interval_ns = kDefaultIntervalNs;
  std::uint64_t sample_count = 1;  // shown
};

std::optional<Schedule> read_schedule(const StatRequest& request) {
  Schedule schedule;
  if (request.once && !request.interval.empty()) {
    complain(kCommand, "--once and --interval exclude each other");
    return std::nullopt;
  }
  if (!request.interval.empty()) {
    const std::optional<std::uint64_t> interval_ns = parse_seconds_ns(request.interval);
    if (!interval_ns || *interval_ns < 10'000'000) {
      complain(kCommand,
               "--interval '" + request.interval + "' is no number of seconds from 0.01 up");
      return std::nullopt;
    }
    schedule = {*interval_ns, UINT64_MAX};
  }
  if (request.count.empty()) return schedule;
  const char* end = request.count.data() + request.count.size();
  const auto [stop, fault] = std::from_chars(request.count.data(), end, schedule.sample_count);
  if (fault != std::errc{} || stop != end || schedule.sample_count == 0) {
    complain(kCommand, "--count '" + request.count + "' is no positive whole number");
    return std::nullopt;
  }
  return schedule;
}

// The segments that the request means now; those that appear later are seen when they do.
std::optional<std::vector<std::string>> select(const SegmentDirectory& directory,
                                               const StatRequest& request, ExitStatus& status) {
  Result<std::vector<std::string>> names = list_segments(directory);
  if (!names) {
    status = complain(kCommand, "cannot list " + directory.path(), names.error());
    return std::nullopt;
  }
  if (request.names.empty()) return *names;
  std::vector<std::string> chosen;
  for (const std::string& wanted : request.names) {
    std::vector<std::string> found = matching(*names, wanted, PipelineNames::kYes);
    if (found.empty()) {
      complain(kCommand, explain_missing(directory, *names, wanted));
      status = ExitStatus::kNotFound;
      return std::nullopt;
    }
    chosen.insert(chosen.end(), found.begin(), found.end());
  }
  std::sort(chosen.begin(), chosen.end());
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  return chosen;
}

// Segments that cannot be looked into: worth a remark, and a failure when they were asked for.
ExitStatus remark_unsound(const Sample& sample, const StatRequest& request) {
  ExitStatus status = ExitStatus::kOk;
  for (const SegmentFacts& facts : sample.unsound) {
    const std::string text = facts.name + ": " + describe_error(facts.fault);
    if (request.names.empty()) {
      remark(kCommand, text);
    } else {
      complain(kCommand, text);
      status = first_failure(status, exit_status_of(facts.fault.code));
    }
  }
  return status;
}

void show(const Comparison& comparison, const StatRequest& request, bool is_first) {
  if (request.json) {
    print(report_json(comparison));
    return;
  }
  const std::string text = report_text(comparison, wants_colour(STDOUT_FILENO));
  print((is_first || text.empty() ? "" : "\n") + text);
}

}  // namespace

ExitStatus stat(const StatRequest& request) {
  const std::optional<Schedule> schedule = read_schedule(request);
  if (!schedule) return ExitStatus::kUsage;
  ExitStatus status = ExitStatus::kOk;
  const std::optional<SegmentDirectory> directory = open_directory(kCommand, status);
  if (!directory) return status;
  std::optional<std::vector<std::string>> names = select(*directory, request, status);
  if (!names) return status;

  Sample before = take_sample(*directory, *names);
  status = remark_unsound(before, request);
  if (names->empty() && !request.json) remark(kCommand, "no segments in " + directory->path());
  const bool nothing_to_compare = names->empty() && request.interval.empty();
  if (request.once || nothing_to_compare) {
    show(Comparison(before, nullptr), request, true);
    return status;
  }
  for (std::uint64_t shown = 0; shown < schedule->sample_count; ++shown) {
    const std::uint64_t deadline_ns = before.taken_ns + schedule->interval_ns;
    const auto peaks = watch_fill(*directory, before, deadline_ns);
    ExitStatus selected = ExitStatus::kOk;
    names = select(*directory, request, selected);
    if (!names) return first_failure(status, selected);
    Sample now = take_sample(*directory, *names);
    for (LinkSample& link : now.links) {
      const auto peak = peaks.find(link.name);
      if (peak != peaks.end() && peak->second > link.peak_fill) link.peak_fill = peak->second;
    }
    show(Comparison(now, &before), request, shown == 0);
    if (output_is_lost()) break;
    before = std::move(now);
  }
  return status;
}

}  // namespace slipring::tools

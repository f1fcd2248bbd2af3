#include "tools/top/top.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "platform/wait/clock.h"
#include "tools/cli/segment_facts.h"
#include "tools/cli/selection.h"
#include "tools/cli/stop_flag.h"
#include "tools/cli/terminal.h"
#include "tools/cli/units.h"
#include "tools/stat/sample.h"
#include "tools/stat/stat.h"
#include "tools/top/screen.h"
#include "tools/top/terminal_screen.h"

namespace slipring::tools {
namespace {

constexpr std::string_view kCommand = "top";
constexpr std::uint64_t kIntervalNsMin = 100'000'000;
constexpr std::uint64_t kIntervalNsMax = 60'000'000'000;
// A signal that comes between a look at the flag and the wait for a key is noticed after so long.
constexpr std::uint64_t kKeyWaitMs = 250;

// What the names mean at this moment; what is not there yet is seen when it comes.
std::vector<std::string> chosen_now(const SegmentDirectory& directory, const TopRequest& request) {
  Result<std::vector<std::string>> names = list_segments(directory);
  if (!names) return {};
  if (request.names.empty()) return *names;
  std::vector<std::string> chosen;
  for (const std::string& wanted : request.names) {
    const std::vector<std::string> found = matching(*names, wanted, PipelineNames::kYes);
    chosen.insert(chosen.end(), found.begin(), found.end());
  }
  std::sort(chosen.begin(), chosen.end());
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  return chosen;
}

// Answers whether to go on.
bool heed(TopKey key, TopView& view, std::size_t row_count) {
  const std::size_t page = view.lines > 4 ? view.lines - 4 : 1;
  const std::size_t last = row_count > page ? row_count - page : 0;
  switch (key) {
    case TopKey::kQuit:
      return false;
    case TopKey::kSort:
      view.order = next(view.order);
      break;
    case TopKey::kPause:
      view.is_paused = !view.is_paused;
      break;
    case TopKey::kQuicker:
      view.interval_ns = std::max(view.interval_ns / 2, kIntervalNsMin);
      break;
    case TopKey::kSlower:
      view.interval_ns = std::min(view.interval_ns * 2, kIntervalNsMax);
      break;
    case TopKey::kUp:
      view.first -= std::min<std::size_t>(view.first, 1);
      break;
    case TopKey::kDown:
      view.first = std::min(view.first + 1, last);
      break;
    case TopKey::kPageUp:
      view.first -= std::min(view.first, page);
      break;
    case TopKey::kPageDown:
      view.first = std::min(view.first + page, last);
      break;
    case TopKey::kResize:
    case TopKey::kNone:
      break;
  }
  return true;
}

void watch(const SegmentDirectory& directory, const TopRequest& request, TopView view,
           const std::atomic<bool>& stop) {
  TerminalScreen terminal;
  std::optional<Sample> before;
  Sample now = take_sample(directory, chosen_now(directory, request));
  // relaxed: nothing else is published with it.
  while (!stop.load(std::memory_order_relaxed)) {
    view.columns = terminal.columns();
    view.lines = terminal.lines();
    const Screen screen = draw(Comparison(now, before ? &*before : nullptr), view);
    terminal.show(screen);
    const std::uint64_t due_ns = now.taken_ns + view.interval_ns;
    const std::uint64_t clock_ns = monotonic_ns();
    const std::uint64_t left_ms = due_ns > clock_ns ? (due_ns - clock_ns) / 1'000'000 + 1 : 0;
    const std::uint64_t wait_ms = view.is_paused ? kKeyWaitMs : std::min(left_ms, kKeyWaitMs);
    if (!heed(terminal.key(static_cast<int>(wait_ms)), view, screen.row_count)) return;
    if (view.is_paused || monotonic_ns() < due_ns) continue;
    before = std::exchange(now, take_sample(directory, chosen_now(directory, request)));
  }
}

}  // namespace

ExitStatus top(const TopRequest& request) {
  if (request.json || !TerminalScreen::is_there()) {
    return stat({request.names, request.interval, "", false, request.json});
  }
  const std::optional<std::uint64_t> interval_ns = parse_seconds_ns(request.interval);
  if (!interval_ns || *interval_ns < kIntervalNsMin || *interval_ns > kIntervalNsMax) {
    complain(kCommand,
             "--interval '" + request.interval + "' is no number of seconds from 0.1 to 60");
    return ExitStatus::kUsage;
  }
  ExitStatus status = ExitStatus::kOk;
  const std::optional<SegmentDirectory> directory = open_directory(kCommand, status);
  if (!directory) return status;
  TopView view;
  view.interval_ns = *interval_ns;
  const std::atomic<bool>& stop = heed_stop_signals();
  watch(*directory, request, view, stop);
  die_of_stop_signal();
  return ExitStatus::kOk;
}

}  // namespace slipring::tools

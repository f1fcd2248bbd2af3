#include "tools/stat/sample.h"

#include <time.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "platform/wait/clock.h"

namespace slipring::tools {
namespace {

// Often enough to see most bursts, rarely enough to cost next to nothing.
constexpr std::uint64_t kFillPeriodNs = 20'000'000;

std::uint64_t realtime_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

void sleep_until(std::uint64_t deadline_ns) noexcept {
  timespec deadline{};
  deadline.tv_sec = static_cast<time_t>(deadline_ns / 1'000'000'000);
  deadline.tv_nsec = static_cast<long>(deadline_ns % 1'000'000'000);
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, nullptr);
}

// "settop.demux" of "settop.demux.board".
std::string stage_of(std::string_view board_name) {
  constexpr std::string_view kSuffix = ".board";
  if (board_name.size() > kSuffix.size() && board_name.ends_with(kSuffix)) {
    board_name.remove_suffix(kSuffix.size());
  }
  return std::string(board_name);
}

void add_process(Sample& sample, pid_t process_id, std::string name) {
  const bool known =
      std::any_of(sample.processes.begin(), sample.processes.end(),
                  [&](const ProcessSample& process) { return process.process_id == process_id; });
  if (process_id == 0 || known) return;
  Result<ProcessUsage> usage = read_usage(process_id);
  // It may have ended just now; then there is nothing to show.
  if (usage) sample.processes.push_back({process_id, std::move(name), *usage});
}

void add_processes(Sample& sample) {
  // Boards first, because they know the stage's name.
  for (const BoardSample& board : sample.boards) {
    if (board.stage.presence == Presence::kHeld) {
      add_process(sample, board.stage.process_id, stage_of(board.name));
    }
  }
  for (const LinkSample& link : sample.links) {
    const LinkReport& report = link.report;
    if (presence_of(report.writer) == Presence::kHeld) {
      add_process(sample, report.writer.process_id, link.name + " writer");
    }
    if (presence_of(report.reader) == Presence::kHeld) {
      add_process(sample, report.reader.process_id, link.name + " reader");
    }
  }
}

void add_board(const SegmentDirectory& directory, const SegmentFacts& facts, Sample& sample) {
  Result<BoardObserver> board = BoardObserver::attach(directory, facts.name);
  if (!board) return;  // removed since it was looked at
  BoardSample entry{facts.name, facts.ends.front(), {}};
  const std::uint32_t entry_count = board->entry_count();
  for (std::uint32_t i = 0; i < entry_count; ++i) entry.entries.push_back(board->entry(i));
  sample.boards.push_back(std::move(entry));
}

template <typename Named>
const Named* find_by_name(const std::vector<Named>& all, std::string_view name) noexcept {
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const Named& candidate) { return candidate.name == name; });
  return found != all.end() ? &*found : nullptr;
}

}  // namespace

std::uint64_t Comparison::interval_ns() const noexcept {
  return before_ != nullptr ? now_.taken_ns - before_->taken_ns : 0;
}

double Comparison::per_second(std::uint64_t now, std::uint64_t before) const noexcept {
  // A counter that went backwards belongs to something that was made anew.
  if (now < before || interval_ns() == 0) return 0;
  return static_cast<double>(now - before) * 1e9 / static_cast<double>(interval_ns());
}

std::optional<LinkRates> Comparison::rates(const LinkSample& link) const {
  if (before_ == nullptr) return std::nullopt;
  const LinkSample* earlier = find_by_name(before_->links, link.name);
  if (earlier == nullptr || earlier->report.created_ns != link.report.created_ns) {
    return std::nullopt;
  }
  const auto of_end = [this](const EndReport& now, const EndReport& before) {
    return EndRates{per_second(now.message_count, before.message_count),
                    per_second(now.payload_bytes, before.payload_bytes)};
  };
  return LinkRates{of_end(link.report.writer, earlier->report.writer),
                   of_end(link.report.reader, earlier->report.reader)};
}

std::optional<double> Comparison::rate(const BoardSample& board,
                                       const BoardObserver::Entry& entry) const {
  if (before_ == nullptr || entry.kind != BoardKind::kCounter) return std::nullopt;
  const BoardSample* earlier = find_by_name(before_->boards, board.name);
  if (earlier == nullptr) return std::nullopt;
  for (const BoardObserver::Entry& then : earlier->entries) {
    if (std::strcmp(then.name, entry.name) == 0) return per_second(entry.value, then.value);
  }
  return std::nullopt;
}

std::optional<double> Comparison::cpu_percent(const ProcessSample& process) const {
  if (before_ == nullptr) return std::nullopt;
  for (const ProcessSample& then : before_->processes) {
    if (then.process_id != process.process_id ||
        then.usage.start_ticks != process.usage.start_ticks) {
      continue;
    }
    return per_second(process.usage.cpu_time_ns, then.usage.cpu_time_ns) / 1e9 * 100;
  }
  return std::nullopt;
}

Sample take_sample(const SegmentDirectory& directory, const std::vector<std::string>& names) {
  Sample sample;
  for (const std::string& name : names) {
    std::optional<SegmentFacts> facts = look_at(directory, name);
    if (!facts) continue;
    if (facts->link) {
      sample.links.push_back({name, *facts->link, facts->link->fill});
    } else if (facts->condition == Condition::kSound) {
      add_board(directory, *facts, sample);
    } else {
      sample.unsound.push_back(std::move(*facts));
    }
  }
  sample.taken_ns = monotonic_ns();
  sample.realtime_ns = realtime_ns();
  add_processes(sample);
  return sample;
}

std::map<std::string, std::uint64_t> watch_fill(const SegmentDirectory& directory,
                                                const Sample& sample, std::uint64_t deadline_ns) {
  std::vector<std::pair<std::string, LinkObserver>> observers;
  for (const LinkSample& link : sample.links) {
    Result<LinkObserver> observer = LinkObserver::attach(directory, link.name);
    if (observer) observers.emplace_back(link.name, std::move(observer).value());
  }
  std::map<std::string, std::uint64_t> peaks;
  for (;;) {
    for (const auto& [name, observer] : observers) {
      std::uint64_t& peak = peaks[name];
      peak = std::max(peak, observer.report().fill);
    }
    const std::uint64_t now_ns = monotonic_ns();
    if (now_ns >= deadline_ns) return peaks;
    sleep_until(std::min(deadline_ns, now_ns + kFillPeriodNs));
  }
}

}  // namespace slipring::tools

#include "tools/top/screen.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <functional>
#include <utility>

#include "pipelines/stage/live_view.h"
#include "tools/cli/units.h"

namespace slipring::tools {
namespace {

constexpr std::size_t kNameColumnsMin = 10;
constexpr std::size_t kHeadLines = 2;

// A column of the list: the higher its rank, the sooner it goes where there is no room.
struct TopColumn {
  const char* title;
  std::size_t columns;
  int rank;
  bool is_right;
  std::function<std::string(std::size_t row)> text;
};

std::string padded(std::string text, std::size_t columns, bool is_right) {
  if (text.size() > columns) text.resize(columns);
  const std::string space(columns - text.size(), ' ');
  return is_right ? space + text : text + space;
}

std::string holder(const EndReport& end) {
  if (presence_of(end) != Presence::kHeld) return name_of(presence_of(end));
  return end.process_id != 0 ? std::to_string(end.process_id) : "held";
}

std::string bar(const LinkReport& report, std::size_t columns) {
  const double share = report.capacity == 0 ? 0
                                            : static_cast<double>(report.fill) /
                                                  static_cast<double>(report.capacity);
  const auto full = static_cast<std::size_t>(share * static_cast<double>(columns) + 0.5);
  return std::string(std::min(full, columns), '#') +
         std::string(columns - std::min(full, columns), '.');
}

// The columns that fit beside the name, and how wide the name may be.
std::size_t fit(std::vector<TopColumn>& columns, std::size_t wanted_name, std::size_t width) {
  for (;;) {
    std::size_t used = 0;
    for (const TopColumn& column : columns) used += column.columns + 1;
    const std::size_t least = std::min(wanted_name, kNameColumnsMin);
    if (columns.empty() || used + least <= width) {
      return used < width ? std::min(std::max(wanted_name, kNameColumnsMin), width - used) : width;
    }
    columns.erase(std::max_element(
        columns.begin(), columns.end(),
        [](const TopColumn& one, const TopColumn& other) { return one.rank < other.rank; }));
  }
}

std::string row_text(const std::vector<TopColumn>& columns, const std::string& name,
                     std::size_t name_columns,
                     const std::function<std::string(const TopColumn&)>& cell) {
  std::string line = padded(printable(name), name_columns, false);
  for (const TopColumn& column : columns) {
    line += " " + padded(printable(cell(column)), column.columns, column.is_right);
  }
  return line;
}

class Drawing {
 public:
  Drawing(const Comparison& comparison, const TopView& view)
      : comparison_(comparison), view_(view) {}

  Screen run() {
    add_head();
    std::vector<ScreenLine> rows;
    add_links(rows);
    add_processes(rows);
    for (const SegmentFacts& facts : comparison_.now().unsound) {
      rows.push_back({facts.name + ": " + kind_of(facts), Tone::kBad});
    }
    screen_.row_count = rows.size();
    const std::size_t room = view_.lines > kHeadLines ? view_.lines - kHeadLines : 0;
    const std::size_t last_first = rows.size() > room ? rows.size() - room : 0;
    for (std::size_t i = std::min(view_.first, last_first); i < rows.size(); ++i) {
      if (screen_.lines.size() == view_.lines) break;
      screen_.lines.push_back(std::move(rows[i]));
    }
    for (ScreenLine& line : screen_.lines) {
      line.text = printable(line.text);
      if (line.text.size() > view_.columns) line.text.resize(view_.columns);
    }
    if (screen_.lines.size() > view_.lines) screen_.lines.resize(view_.lines);
    return std::move(screen_);
  }

 private:
  void add_head() {
    const Sample& sample = comparison_.now();
    const auto seconds = static_cast<std::time_t>(sample.realtime_ns / 1'000'000'000);
    std::array<char, 16> clock{};
    std::tm local{};
    if (localtime_r(&seconds, &local) != nullptr) {
      std::strftime(clock.data(), clock.size(), "%H:%M:%S", &local);
    }
    std::string head = std::string("slipring top  ") + clock.data() + "  " +
                       std::to_string(sample.links.size()) + " links, " +
                       std::to_string(sample.processes.size()) + " processes, by " +
                       name_of(view_.order) + ", every " + latency(view_.interval_ns);
    if (view_.is_paused) head += ", paused";
    screen_.lines.push_back({std::move(head), Tone::kStrong});
    screen_.lines.push_back({"q quit  s sort  p pause  + - interval  arrows scroll", Tone::kFaint});
  }

  [[nodiscard]] double rate_of(const LinkSample& link) const {
    const std::optional<LinkRates> rates = comparison_.rates(link);
    return rates ? rates->writer.messages_per_s + rates->writer.bytes_per_s : 0;
  }

  [[nodiscard]] std::vector<const LinkSample*> ordered() const {
    std::vector<const LinkSample*> links;
    for (const LinkSample& link : comparison_.now().links) links.push_back(&link);
    const auto share = [](const LinkSample* link) {
      return link->report.capacity == 0 ? 0
                                        : static_cast<double>(link->report.fill) /
                                              static_cast<double>(link->report.capacity);
    };
    std::stable_sort(links.begin(), links.end(),
                     [&](const LinkSample* one, const LinkSample* other) {
                       if (view_.order == TopOrder::kRate) return rate_of(*one) > rate_of(*other);
                       if (view_.order == TopOrder::kFill) return share(one) > share(other);
                       return one->name < other->name;
                     });
    return links;
  }

  void add_links(std::vector<ScreenLine>& rows) const {
    const std::vector<const LinkSample*> links = ordered();
    const auto rates = [&](std::size_t row) { return comparison_.rates(*links[row]); };
    std::vector<TopColumn> columns = {
        {"FILL", 4, 0, true,
         [&](std::size_t row) {
           return percentage(links[row]->report.fill, links[row]->report.capacity);
         }},
        {"", 10, 5, false, [&](std::size_t row) { return bar(links[row]->report, 10); }},
        {"MSG/S", 7, 2, true,
         [&](std::size_t row) {
           const auto rate = rates(row);
           return rate ? si_amount(rate->writer.messages_per_s) : "-";
         }},
        {"DATA/S", 9, 1, true,
         [&](std::size_t row) {
           const auto rate = rates(row);
           return rate ? si_amount(rate->writer.bytes_per_s, "B") : "-";
         }},
        {"BLOCKED", 7, 6, true,
         [&](std::size_t row) {
           return si_amount(static_cast<double>(links[row]->report.writer.blocked_count));
         }},
        {"WRITER", 7, 3, true, [&](std::size_t row) { return holder(links[row]->report.writer); }},
        {"READER", 7, 4, true, [&](std::size_t row) { return holder(links[row]->report.reader); }},
    };
    std::size_t longest = 4;
    for (const LinkSample* link : links) longest = std::max(longest, link->name.size());
    const std::size_t name_columns = fit(columns, longest, view_.columns);
    if (links.empty()) {
      rows.push_back({"no links", Tone::kFaint});
      return;
    }
    rows.push_back({row_text(columns, "LINK", name_columns,
                             [](const TopColumn& column) { return std::string(column.title); }),
                    Tone::kStrong});
    for (std::size_t row = 0; row < links.size(); ++row) {
      const LinkReport& report = links[row]->report;
      const bool is_corrupt = report.writer.corrupt_count + report.reader.corrupt_count != 0;
      const bool is_gone = presence_of(report.writer) == Presence::kGone ||
                           presence_of(report.reader) == Presence::kGone;
      rows.push_back({row_text(columns, links[row]->name, name_columns,
                               [&](const TopColumn& column) { return column.text(row); }),
                      is_corrupt ? Tone::kBad
                      : is_gone  ? Tone::kWarning
                                 : Tone::kPlain});
    }
  }

  void add_processes(std::vector<ScreenLine>& rows) const {
    const std::vector<ProcessSample>& processes = comparison_.now().processes;
    if (processes.empty()) return;
    std::vector<TopColumn> columns = {
        {"PID", 7, 1, true,
         [&](std::size_t row) { return std::to_string(processes[row].process_id); }},
        {"CPU", 7, 0, true,
         [&](std::size_t row) {
           const std::optional<double> percent = comparison_.cpu_percent(processes[row]);
           if (!percent) return std::string("-");
           std::array<char, 32> text{};
           std::snprintf(text.data(), text.size(), "%.1f %%", *percent);
           return std::string(text.data());
         }},
        {"RESIDENT", 9, 2, true,
         [&](std::size_t row) { return binary_size(processes[row].usage.resident_bytes); }},
        {"THREADS", 7, 3, true,
         [&](std::size_t row) { return std::to_string(processes[row].usage.thread_count); }},
    };
    std::size_t longest = 7;
    for (const ProcessSample& process : processes) longest = std::max(longest, process.name.size());
    const std::size_t name_columns = fit(columns, longest, view_.columns);
    rows.push_back({"", Tone::kPlain});
    rows.push_back({row_text(columns, "PROCESS", name_columns,
                             [](const TopColumn& column) { return std::string(column.title); }),
                    Tone::kStrong});
    for (std::size_t row = 0; row < processes.size(); ++row) {
      rows.push_back({row_text(columns, processes[row].name, name_columns,
                               [&](const TopColumn& column) { return column.text(row); }),
                      Tone::kPlain});
    }
  }

  const Comparison& comparison_;
  const TopView& view_;
  Screen screen_;
};

}  // namespace

const char* name_of(TopOrder order) noexcept {
  switch (order) {
    case TopOrder::kName:
      return "name";
    case TopOrder::kRate:
      return "rate";
    case TopOrder::kFill:
      return "fill";
  }
  return "name";
}

TopOrder next(TopOrder order) noexcept {
  switch (order) {
    case TopOrder::kName:
      return TopOrder::kRate;
    case TopOrder::kRate:
      return TopOrder::kFill;
    case TopOrder::kFill:
      break;
  }
  return TopOrder::kName;
}

Screen draw(const Comparison& comparison, const TopView& view) {
  return Drawing(comparison, view).run();
}

}  // namespace slipring::tools

#include "bench/report/plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "bench/report/verdicts.h"

namespace slipring::bench {
namespace {

std::string fixed(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

std::string text_at(double x, double y, const char* style, std::string_view words) {
  return "<text x=\"" + fixed(x) + "\" y=\"" + fixed(y) + "\" class=\"" + style + "\">" +
         escaped(words) + "</text>";
}

struct Mark {
  double fraction;
  const char* name;
};
constexpr std::array<Mark, 5> kMarks{
    Mark{0.5, "p50"}, {0.9, "p90"}, {0.99, "p99"}, {0.999, "p99.9"}, {0.9999, "p99.99"}};

constexpr double kWidth = 640;
constexpr double kHeight = 300;
constexpr double kLeft = 56;
constexpr double kRight = 12;
constexpr double kTop = 12;
constexpr double kBottom = 28;

// Where a percentile and a latency stand: both axes are logarithmic.
struct Frame {
  double least_ns;
  double most_ns;

  [[nodiscard]] double x(double fraction) const {
    const double nines = std::log10(0.5 / (1 - fraction));
    return kLeft + nines / std::log10(0.5 / 0.0001) * (kWidth - kLeft - kRight);
  }
  [[nodiscard]] double y(double ns) const {
    const double share = std::log(ns / least_ns) / std::log(most_ns / least_ns);
    return kHeight - kBottom - share * (kHeight - kTop - kBottom);
  }
};

Frame frame_of(const std::vector<const Measured*>& lines) {
  double least = 1e18;
  double most = 1;
  for (const Measured* line : lines) {
    least = std::min(least, static_cast<double>(line->latency_ns.percentile(0.5)));
    most = std::max(most, static_cast<double>(line->latency_ns.percentile(0.9999)));
  }
  return {std::max(1.0, least / 1.3), std::max(most * 1.2, least * 10)};
}

std::string grid(const Frame& frame) {
  std::string svg;
  for (const Mark& mark : kMarks) {
    const double x = frame.x(mark.fraction);
    svg += "<line class=\"grid\" x1=\"" + fixed(x) + "\" x2=\"" + fixed(x) + "\" y1=\"" +
           fixed(kTop) + "\" y2=\"" + fixed(kHeight - kBottom) + "\"/>";
    const char* const style = mark.fraction == 0.5 ? "first" : "axis";
    svg += text_at(x, kHeight - 9, mark.fraction > 0.999 ? "last" : style, mark.name);
  }
  for (double decade = 1; decade < 1e10; decade *= 10) {
    for (const double step : {1.0, 3.0}) {
      const double ns = decade * step;
      if (ns < frame.least_ns || ns > frame.most_ns) continue;
      const double y = frame.y(ns);
      svg += "<line class=\"grid\" x1=\"" + fixed(kLeft) + "\" x2=\"" + fixed(kWidth - kRight) +
             "\" y1=\"" + fixed(y) + "\" y2=\"" + fixed(y) + "\"/>";
      char label[32];
      std::snprintf(label, sizeof label,
                    ns < 1e3   ? "%.0f ns"
                    : ns < 1e6 ? "%.0f µs"
                               : "%.0f ms",
                    ns < 1e3   ? ns
                    : ns < 1e6 ? ns / 1e3
                               : ns / 1e6);
      svg += text_at(kLeft - 6, y + 4, "last", label);
    }
  }
  return svg;
}

std::string curve(const Frame& frame, const Measured& line, std::size_t number) {
  std::string points;
  for (int i = 0; i <= 60; ++i) {
    const double nines = std::log10(0.5 / 0.0001) * i / 60.0;
    const double fraction = 1 - 0.5 / std::pow(10, nines);
    const double ns = std::max(1.0, static_cast<double>(line.latency_ns.percentile(fraction)));
    points += fixed(frame.x(fraction)) + ',' + fixed(frame.y(ns)) + ' ';
  }
  return "<polyline class=\"curve c" + std::to_string(number) + ' ' +
         family_class(line.cell->contender->family) + "\" points=\"" + points + "\"/>";
}

struct Panel {
  const char* workload;
  const char* title;
};
constexpr std::array<Panel, 4> kPanels{Panel{"spsc8.1k", "8 B messages, one at a time (M/s)"},
                                       {"trip8", "8 B there and back (ns, less is better)"},
                                       {"record4k", "4 KiB records (GiB/s)"},
                                       {"mpmc8.2x2", "2 producers, 2 consumers, 8 B (M/s)"}};
constexpr std::size_t kPanelRows = 6;
constexpr double kPanelWidth = 430;
constexpr double kPanelHeight = 34 + 24 * kPanelRows;

std::string panel(const RunOutcome& outcome, const Panel& of, double left, double top) {
  std::vector<const Measured*> rows;
  for (const Measured* row : ranked(outcome, of.workload)) {
    if (row->cell->contender->family != Family::kRaw && row->value.median > 0) rows.push_back(row);
  }
  if (rows.size() > kPanelRows) rows.resize(kPanelRows);
  std::string svg = text_at(left, top + 14, "title", of.title);
  double most = 0;
  for (const Measured* row : rows) most = std::max(most, row->value.median);
  double y = top + 24;
  for (const Measured* row : rows) {
    const double length = row->value.median / most * 140;
    svg += text_at(left + 204, y + 15, "last", row->cell->contender->title);
    svg += "<rect class=\"" + std::string(family_class(row->cell->contender->family)) + "\" x=\"" +
           fixed(left + 212) + "\" y=\"" + fixed(y + 3) + "\" width=\"" + fixed(length) +
           "\" height=\"16\" rx=\"2\"/>";
    svg += text_at(left + 218 + length, y + 15, "figure",
                   figure_text(row->value.median, row->cell->workload->unit));
    y += 24;
  }
  return svg;
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '<') {
      safe += "&lt;";
    } else if (c == '&') {
      safe += "&amp;";
    } else if (c == '"') {
      safe += "&quot;";
    } else {
      safe += c;
    }
  }
  return safe;
}

const char* family_class(Family family) {
  switch (family) {
    case Family::kOurs:
      return "ours";
    case Family::kPeer:
      return "peer";
    case Family::kKernel:
      return "kernel";
    case Family::kRaw:
      return "raw";
  }
  return "";
}

std::vector<const Measured*> ranked(const RunOutcome& outcome, std::string_view workload) {
  std::vector<const Measured*> rows;
  for (const Measured& measured : outcome.measured) {
    if (workload == measured.cell->workload->id && measured.was_measured()) {
      rows.push_back(&measured);
    }
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Measured* one, const Measured* other) {
    // What stalled has no time to be proud of.
    if ((one->value.median > 0) != (other->value.median > 0)) return one->value.median > 0;
    return more_is_better(one->cell->workload->unit) ? one->value.median > other->value.median
                                                     : one->value.median < other->value.median;
  });
  return rows;
}

std::string latency_curves(const RunOutcome& outcome, std::string_view workload) {
  std::vector<const Measured*> lines;
  for (const Measured* row : ranked(outcome, workload)) {
    if (row->latency_ns.total() != 0 && row->value.median > 0) lines.push_back(row);
  }
  if (lines.empty()) return "";
  if (lines.size() > 8) lines.resize(8);
  const Frame frame = frame_of(lines);
  std::string svg =
      "<svg class=\"plot\" viewBox=\"0 0 640 300\" role=\"img\" aria-label=\"latency "
      "percentiles\">" +
      grid(frame);
  std::string legend = "<ul class=\"legend\">";
  for (std::size_t i = lines.size(); i-- > 0;) svg += curve(frame, *lines[i], i);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    legend += "<li class=\"c" + std::to_string(i) + ' ' +
              family_class(lines[i]->cell->contender->family) + "\">" +
              escaped(lines[i]->cell->contender->title) + "</li>";
  }
  return svg + "</svg>" + legend + "</ul>";
}

std::string main_plot(const RunOutcome& outcome, const std::string& caption) {
  std::string svg =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 420\" "
      "font-family=\"system-ui, sans-serif\" font-size=\"12\">\n<style>"
      "text{fill:#1b2330}.title{font-weight:600;font-size:13px}.last{text-anchor:end}"
      ".figure{font-variant-numeric:tabular-nums}.note{fill:#667085;font-size:11px}"
      ".ours{fill:#0f766e}.peer{fill:#94a3b8}.kernel{fill:#cbb994}.raw{fill:#d4d8df}"
      "@media(prefers-color-scheme:dark){text{fill:#e6e9ef}.note{fill:#98a2b3}"
      ".ours{fill:#2dd4bf}.peer{fill:#64748b}.kernel{fill:#8a7a55}}</style>\n";
  for (std::size_t i = 0; i < kPanels.size(); ++i) {
    svg += panel(outcome, kPanels[i], i % 2 == 0 ? 10 : 460,
                 6 + static_cast<double>(i / 2) * (kPanelHeight + 14));
    svg += '\n';
  }
  return svg + text_at(10, 412, "note", caption) + "\n</svg>\n";
}

}  // namespace slipring::bench

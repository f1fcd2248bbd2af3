#include "bench/oob/interval_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "bench/report/plot.h"
#include "tools/cli/json.h"

namespace slipring::bench {
namespace {

std::string formatted(const char* format, double value) {
  char text[48];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

// Where a panel's points stand: both axes are logarithmic.
struct Panel {
  double left;
  const char* title;
  const char* unit;  // the y axis
  double least;      // of y
  double most;

  static constexpr double kTop = 46;
  static constexpr double kWidth = 320;
  static constexpr double kHeight = 250;

  [[nodiscard]] double x(double interval) const { return left + std::log2(interval) / 12 * kWidth; }
  [[nodiscard]] double y(double value) const {
    const double held = std::clamp(value, least, most);
    return kTop + kHeight - std::log(held / least) / std::log(most / least) * kHeight;
  }
};

std::string text_at(double x, double y, const char* style, std::string_view words) {
  return "<text x=\"" + formatted("%.1f", x) + "\" y=\"" + formatted("%.1f", y) + "\" class=\"" +
         style + "\">" + escaped(words) + "</text>";
}

std::string line(double x1, double y1, double x2, double y2) {
  return "<line class=\"grid\" x1=\"" + formatted("%.1f", x1) + "\" y1=\"" + formatted("%.1f", y1) +
         "\" x2=\"" + formatted("%.1f", x2) + "\" y2=\"" + formatted("%.1f", y2) + "\"/>";
}

std::string frame(const Panel& panel) {
  std::string svg = text_at(panel.left, 22, "title", panel.title);
  const std::string x = formatted("%.0f", panel.left - 46);
  const std::string y = formatted("%.0f", Panel::kTop + Panel::kHeight / 2);
  svg += "<text class=\"middle axis\" transform=\"translate(" + x + ',' + y + ") rotate(-90)\">" +
         escaped(panel.unit) + "</text>";
  for (std::uint32_t k = 1; k <= 4096; k *= 8) {
    svg += line(panel.x(k), Panel::kTop, panel.x(k), Panel::kTop + Panel::kHeight);
    svg += text_at(panel.x(k), Panel::kTop + Panel::kHeight + 16, "middle", std::to_string(k));
  }
  for (double decade = panel.least; decade <= panel.most * 1.01; decade *= 10) {
    svg += line(panel.left, panel.y(decade), panel.left + Panel::kWidth, panel.y(decade));
    svg += text_at(panel.left - 6, panel.y(decade) + 4, "last",
                   decade < 1e4 ? formatted("%g", decade) : formatted("%gk", decade / 1e3));
  }
  return svg + text_at(panel.left + Panel::kWidth / 2, Panel::kTop + Panel::kHeight + 34, "middle",
                       "interval (messages from one look to the next)");
}

// A line for each run of rows that `counts` holds of.
template <typename Value, typename Counts>
std::string curve(const Panel& panel, const IntervalTable& table, const char* way,
                  const std::string& style, Value&& value, Counts&& counts) {
  std::string svg;
  std::string points;
  const auto end_line = [&] {
    if (!points.empty()) {
      svg += "<polyline class=\"curve " + style + "\" points=\"" + points + "\"/>\n";
    }
    points.clear();
  };
  for (const IntervalRow& row : table.rows) {
    if (std::strcmp(row.way, way) != 0) continue;
    if (!counts(row)) {
      end_line();
      continue;
    }
    points += formatted("%.1f", panel.x(row.interval)) + ',' +
              formatted("%.1f", panel.y(value(row))) + ' ';
  }
  end_line();
  return svg;
}

std::vector<const char*> ways_of(const IntervalTable& table) {
  std::vector<const char*> ways;
  for (const IntervalRow& row : table.rows) {
    const bool is_known = std::any_of(
        ways.begin(), ways.end(), [&](const char* way) { return std::strcmp(way, row.way) == 0; });
    if (!is_known) ways.push_back(row.way);
  }
  return ways;
}

}  // namespace

std::string interval_text(const IntervalTable& table) {
  std::string text = "A message without looks: " + formatted("%.2f ns", table.bare_message_ns) +
                     "; " + std::to_string(table.messages_checked) + " messages checked, " +
                     std::to_string(table.torn) + " torn\n\n";
  text +=
      "WAY             EVERY   OVERHEAD  A MESSAGE    NOTICED p50        p99   WASTED p50        "
      "p99       MEAN  NOTICED IN TIME\n";
  for (const IntervalRow& row : table.rows) {
    char line_text[200];
    if (row.round_count == 0) {
      std::snprintf(line_text, sizeof line_text,
                    "%-14s %6u %7.2f ns %7.2f ns %14s %10s %12s %10s %10s  0 of %u\n", row.way,
                    row.interval, row.overhead_ns, row.message_ns, "-", "-", "-", "-", "-",
                    row.command_count);
    } else {
      std::snprintf(
          line_text, sizeof line_text,
          "%-14s %6u %7.2f ns %7.2f ns %11.1f us %7.1f us %12.0f %10.0f %10.1f  %u of %u\n",
          row.way, row.interval, row.overhead_ns, row.message_ns, row.notice_p50_ns / 1e3,
          row.notice_p99_ns / 1e3, row.wasted_p50, row.wasted_p99, row.wasted_mean, row.round_count,
          row.command_count);
    }
    text += line_text;
  }
  text += "\nBLOCKED IN                    NOTICED p50        p99\n";
  for (const BlockedRow& row : table.blocked) {
    char line_text[120];
    std::snprintf(line_text, sizeof line_text, "%-29s %8.1f us %7.1f us\n", row.way,
                  row.notice_p50_ns / 1e3, row.notice_p99_ns / 1e3);
    text += line_text;
  }
  return text;
}

std::string interval_json(const IntervalTable& table) {
  tools::JsonWriter json;
  json.begin_document();
  json.member("bare_message_ns", table.bare_message_ns);
  json.member("messages_checked", table.messages_checked);
  json.member("torn", table.torn);
  json.begin_array("rows");
  for (const IntervalRow& row : table.rows) {
    json.begin_object();
    json.member("way", row.way);
    json.member("interval", row.interval);
    json.member("overhead_ns", row.overhead_ns);
    json.member("message_ns", row.message_ns);
    if (row.round_count != 0) {
      json.member("notice_p50_ns", row.notice_p50_ns);
      json.member("notice_p99_ns", row.notice_p99_ns);
      json.member("wasted_p50", row.wasted_p50);
      json.member("wasted_p99", row.wasted_p99);
      json.member("wasted_mean", row.wasted_mean);
    }
    json.member("noticed", row.round_count);
    json.member("commands", row.command_count);
    json.end_object();
  }
  json.end_array();
  json.begin_array("blocked");
  for (const BlockedRow& row : table.blocked) {
    json.begin_object();
    json.member("way", row.way);
    json.member("notice_p50_ns", row.notice_p50_ns);
    json.member("notice_p99_ns", row.notice_p99_ns);
    json.member("rounds", row.round_count);
    json.end_object();
  }
  json.end_array();
  return json.end_document();
}

std::string interval_plot(const IntervalTable& table, const std::string& caption) {
  const Panel overhead{70, "What looking costs", "overhead (ns per message)", 0.01, 1000};
  const Panel wasted{490, "What not looking costs (p99 dashed)",
                     "messages processed after the command", 1, 1e5};
  const Panel notice{910, "Time to notice (p99 dashed)", "command to notice (µs)", 0.1, 1e4};
  std::string svg =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1260 400\" "
      "font-family=\"system-ui, sans-serif\" font-size=\"12\">\n<style>"
      "text{fill:#1b2330}.title{font-weight:600;font-size:13px}.last{text-anchor:end}"
      ".middle{text-anchor:middle}.note{fill:#667085;font-size:11px}"
      ".grid{stroke:#d4d8df;stroke-width:1}.curve{fill:none;stroke-width:2}"
      ".w0{stroke:#0f766e}.w1{stroke:#b45309}.w2{stroke:#6d28d9}.far{stroke-dasharray:4 3}"
      "@media(prefers-color-scheme:dark){text{fill:#e6e9ef}.note{fill:#98a2b3}"
      ".grid{stroke:#3a4252}.w0{stroke:#2dd4bf}.w1{stroke:#fbbf24}.w2{stroke:#a78bfa}}</style>\n";
  for (const Panel& panel : {overhead, wasted, notice}) svg += frame(panel) + '\n';
  const std::vector<const char*> ways = ways_of(table);
  for (std::size_t i = 0; i < ways.size(); ++i) {
    const std::string style = "w" + std::to_string(i);
    const auto every = [](const IntervalRow&) { return true; };
    const auto telling = [](const IntervalRow& row) { return row.is_telling(); };
    svg += curve(
        overhead, table, ways[i], style, [](const IntervalRow& row) { return row.overhead_ns; },
        every);
    svg += curve(
        wasted, table, ways[i], style, [](const IntervalRow& row) { return row.wasted_p50; },
        telling);
    svg += curve(
        wasted, table, ways[i], style + " far",
        [](const IntervalRow& row) { return row.wasted_p99; }, telling);
    svg += curve(
        notice, table, ways[i], style,
        [](const IntervalRow& row) { return row.notice_p50_ns / 1e3; }, telling);
    svg += curve(
        notice, table, ways[i], style + " far",
        [](const IntervalRow& row) { return row.notice_p99_ns / 1e3; }, telling);
    const double x = 70 + static_cast<double>(i) * 170;
    svg += "<line class=\"curve " + style + "\" x1=\"" + formatted("%.0f", x) + "\" x2=\"" +
           formatted("%.0f", x + 24) + "\" y1=\"360\" y2=\"360\"/>" +
           text_at(x + 30, 364, "", ways[i]);
  }
  return svg +
         text_at(70, 388, "note",
                 caption + "; not drawn: ways that were too late for half of the queues") +
         "\n</svg>\n";
}

}  // namespace slipring::bench

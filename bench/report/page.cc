#include "bench/report/page.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "bench/report/page_style.h"
#include "bench/report/plot.h"
#include "bench/report/verdicts.h"
#include "tools/bench/outcome_json.h"

namespace slipring::bench {
namespace {

std::string formatted(const char* format, double value) {
  char text[48];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string fact(const std::string& figure, const std::string& what) {
  return "<li><b>" + escaped(figure) + "</b><span>" + escaped(what) + "</span></li>";
}

std::string head(const RunOutcome& outcome, const MachineFacts& machine,
                 const std::vector<Verdict>& verdicts) {
  const auto count = [&](Won won) {
    return std::count_if(verdicts.begin(), verdicts.end(),
                         [&](const Verdict& verdict) { return verdict.won == won; });
  };
  const auto judged = count(Won::kYes) + count(Won::kNo);
  std::string html =
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\"><title>slipring, measured</title><style>";
  html += kPageStyle;
  html +=
      "</style></head><body><main><h1>slipring, measured</h1><p class=\"lead\">Our rings, every "
      "packaged peer, the kernel and the bare hardware, side by side in one run. " +
      escaped(machine.time) + ", " + escaped(machine.processor) + ", " +
      std::to_string(machine.processor_count) + " processors" +
      (machine.is_virtual ? ", a virtual machine" : "") + ".</p><ul class=\"facts\">";
  html += fact(std::to_string(count(Won::kYes)) + " of " + std::to_string(judged), "goals reached");
  html += fact(formatted("%.2f", static_cast<double>(outcome.message_count) / 1e9) + " G",
               "messages, each checked");
  html += fact(formatted("%.0f ns", outcome.best_bounce_ns), "one line there and back");
  html += fact(formatted("%.0f s", outcome.duration_s), "of measuring");
  return html + "</ul>";
}

std::string verdict_row(const Verdict& verdict) {
  const char* const style = verdict.won == Won::kYes  ? "won"
                            : verdict.won == Won::kNo ? "lost"
                                                      : "unknown";
  const char* const word = verdict.won == Won::kYes  ? "reached"
                           : verdict.won == Won::kNo ? "missed"
                                                     : "–";
  std::string row =
      "<tr><td>" + escaped(verdict.workload) + "</td><td>" + escaped(verdict.goal) + "</td>";
  if (verdict.ours.empty()) {
    return row + "<td class=\"unknown\" colspan=\"3\">not measured in this run</td></tr>";
  }
  row += "<td data-l=\"ours\">" + escaped(verdict.ours);
  if (!verdict.remark.empty()) row += "<small>" + escaped(verdict.remark) + "</small>";
  row += "</td><td data-l=\"against\">" + escaped(verdict.against.empty() ? "–" : verdict.against) +
         "</td><td class=\"n\"><span class=\"mark " + style + "\">" +
         (verdict.won == Won::kUnknown
              ? ""
              : formatted(verdict.ratio < 0.095 ? "%.4f " : "%.2f ", verdict.ratio)) +
         word + "</span></td></tr>";
  return row;
}

std::string verdict_table(const std::vector<Verdict>& verdicts) {
  std::string html =
      "<h2>The goals</h2><p class=\"lead\">What the rings were built to reach, every row, reached "
      "or "
      "missed. Ratios are of medians within this run.</p><table class=\"verdicts\"><thead><tr>"
      "<th>Workload</th><th>Goal</th><th>Ours</th><th>Against</th><th class=\"n\">Measured</th>"
      "</tr></thead><tbody>";
  // Of a part of the workloads the others' goals would only be in the way.
  std::string others;
  for (const Verdict& verdict : verdicts) {
    (verdict.ours.empty() ? others : html) += verdict_row(verdict);
  }
  html += "</tbody></table>";
  if (others.empty()) return html;
  return html +
         "<details><summary>Goals of what this run did not measure</summary><table "
         "class=\"verdicts\"><tbody>" +
         others + "</tbody></table></details>";
}

// What a message and a byte cost, for rates.
std::string cost_text(const Measured& measured) {
  const Workload& workload = *measured.cell->workload;
  if (measured.value.median <= 0) return "";
  const double bytes = workload.message_bytes;
  double message_ns = 0;
  if (workload.unit == Unit::kMessagesPerSecond) message_ns = 1e9 / measured.value.median;
  if (workload.unit == Unit::kBytesPerSecond) message_ns = 1e9 * bytes / measured.value.median;
  if (message_ns <= 0) return "";
  return figure_text(message_ns, Unit::kNanoseconds) + " a message, " +
         figure_text(message_ns / bytes, Unit::kNanoseconds) + " a byte";
}

std::string bar_note(const Measured& measured) {
  std::string notes = fault_text(measured);
  const bool is_bad = !notes.empty();
  const auto add = [&notes](const std::string& more) {
    if (!more.empty()) notes += (notes.empty() ? "" : " · ") + more;
  };
  for (const auto& [name, number] : measured.repetitions.empty()
                                        ? decltype(CellResult::extras){}
                                        : measured.repetitions.front().extras) {
    if (name == "joules_a_message") add(formatted("%.3g nJ a message", number * 1e9));
    if (name == "stalled_stops") add(formatted("stood still in %.0f of 40 stops", number));
  }
  if (measured.is_far) add("only measured far apart");
  add(cost_text(measured));
  add(measured.cell->contender->remark);
  if (notes.empty()) return "";
  return std::string("<div class=\"note") + (is_bad ? " bad" : "") + "\">" + escaped(notes) +
         "</div>";
}

std::string bar(const Measured& measured, double most) {
  const Contender& contender = *measured.cell->contender;
  const Unit unit = measured.cell->workload->unit;
  const bool is_ours = contender.family == Family::kOurs;
  const auto share = [&](double value) { return formatted("%.2f", value / most * 100); };
  std::string html = std::string("<div class=\"row\"><div class=\"name") + (is_ours ? " us" : "") +
                     "\">" + escaped(contender.title) + "</div>";
  html +=
      "<svg viewBox=\"0 0 100 14\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect "
      "class=\"" +
      std::string(family_class(contender.family)) + "\" x=\"0\" y=\"1\" width=\"" +
      share(measured.value.median) + "\" height=\"12\"/><line class=\"range\" x1=\"" +
      share(measured.value.least) + "\" x2=\"" + share(measured.value.most) +
      "\" y1=\"7\" y2=\"7\"/></svg>";
  html += std::string("<div class=\"value") + (is_ours ? " us" : "") + "\" title=\"" +
          escaped(figure_text(measured.value.least, unit) + " to " +
                  figure_text(measured.value.most, unit)) +
          "\">" + escaped(figure_text(measured.value.median, unit)) + "</div>";
  return html + bar_note(measured) + "</div>";
}

std::string bars(const RunOutcome& outcome, const Workload& workload) {
  const std::vector<const Measured*> rows = ranked(outcome, workload.id);
  if (rows.empty()) return "";
  double most = 1e-9;
  for (const Measured* row : rows) most = std::max(most, row->value.most);
  std::string html = "<h3>" + escaped(workload.title) +
                     (more_is_better(workload.unit) ? "" : " <small>(less is better)</small>") +
                     "</h3><div class=\"bars\">";
  for (const Measured* row : rows) html += bar(*row, most);
  return html + "</div>";
}

std::string percentile_table(const RunOutcome& outcome, const Workload& workload) {
  std::string rows;
  for (const Measured* row : ranked(outcome, workload.id)) {
    const Histogram& latency = row->latency_ns;
    if (latency.total() == 0) continue;
    rows += "<tr><td>" + escaped(row->cell->contender->title) + "</td>";
    for (const double fraction : {0.5, 0.9, 0.99, 0.999, 0.9999, 1.0}) {
      const auto ns =
          static_cast<double>(fraction == 1.0 ? latency.max() : latency.percentile(fraction));
      rows += "<td class=\"n\">" + escaped(figure_text(ns, Unit::kNanoseconds)) + "</td>";
    }
    rows += "</tr>";
  }
  if (rows.empty()) return "";
  return "<div class=\"scroll\"><table><thead><tr><th></th><th class=\"n\">p50</th><th "
         "class=\"n\">p90</th><th class=\"n\">p99</th><th class=\"n\">p99.9</th><th "
         "class=\"n\">p99.99</th><th class=\"n\">max</th></tr></thead><tbody>" +
         rows + "</tbody></table></div>";
}

std::string group_sections(const RunOutcome& outcome) {
  std::string html;
  const char* group = "";
  for (const Workload& workload : workloads()) {
    const std::string chart = bars(outcome, workload);
    if (chart.empty()) continue;
    if (std::strcmp(group, workload.group) != 0) {
      group = workload.group;
      html += "<h2>" + escaped(group) + "</h2>";
    }
    html += chart + latency_curves(outcome, workload.id) + percentile_table(outcome, workload);
  }
  return html;
}

std::string skipped_list(const RunOutcome& outcome) {
  std::string items;
  for (const Measured& measured : outcome.measured) {
    if (measured.was_measured()) continue;
    items += "<li>" + escaped(measured.cell->contender->title) + ", " +
             escaped(measured.cell->workload->title) + ": " +
             escaped(measured.skipped.empty() ? "no time was left" : measured.skipped) + "</li>";
  }
  return items.empty() ? "" : "<h3>Not measured</h3><ul>" + items + "</ul>";
}

std::string method(const RunOutcome& outcome, const MachineFacts& machine,
                   const std::string& settings) {
  double resolution_ns = 0;
  for (const Measured& measured : outcome.measured) {
    for (const CellResult& result : measured.repetitions) {
      resolution_ns = std::max(resolution_ns, result.resolution_ns);
    }
  }
  const auto row = [](const char* term, const std::string& what) {
    return "<dt>" + escaped(term) + "</dt><dd>" + escaped(what) + "</dd>";
  };
  std::string html = "<h2>Method</h2><dl>";
  html += row("Order",
              "every repetition is a process of its own; within a workload the contenders come as "
              "A B C … C B A");
  html += row(
      "Nearness",
      "the bounce of one cache line is probed before and after each; beyond " +
          formatted("%.1f", kFarFactor) +
          " times what the best tenth of the probes reached it is far, and repeated at the end: " +
          std::to_string(outcome.redone_count) + " were repeated, " +
          std::to_string(outcome.far_count) + " stayed far");
  html += row("Figures",
              "median; the thin line is least to most; the first fifth of each "
              "repetition is not counted");
  html += row("Checking",
              "every word of every message, and every sequence; losses, order, tearing "
              "and stalls are shown beside the name");
  html += row("Waiting",
              "after a try that failed, one pause; with more threads than processors, a "
              "yield every 16 failures; round trips poll without pausing");
  html += row("Records",
              "every contender writes every word and checks every word, in place where "
              "it can, through one buffer where it cannot; 1 MiB of room");
  html +=
      row("Stops", "a second producer is stopped by a signal at a random instruction, 40 times");
  html += row("Stamps",
              "CLOCK_MONOTONIC for totals, the processor's counter for single trips, in "
              "steps of " +
                  formatted("%.0f ns", resolution_ns) + " at most");
  html += row("Settings", settings);
  html += "</dl>" + skipped_list(outcome) + "<h2>Machine</h2><dl>";
  html += row("Processor", machine.processor);
  html += row("Kernel", machine.kernel);
  html += row("Compiler", machine.compiler);
  html += row("Governor", machine.governor.empty() ? "none to see" : machine.governor);
  html += row("Bounce", formatted("%.0f ns first, ", outcome.first_bounce_ns) +
                            formatted("%.0f ns last, ", outcome.last_bounce_ns) +
                            formatted("%.0f ns near", outcome.best_bounce_ns));
  html += row("Energy", machine.has_energy_counter
                            ? "RAPL: the whole package, over each cell from start to end"
                            : "no RAPL here: no joules");
  return html + "</dl>";
}

constexpr const char* kLimits =
    "<h2>What this does not show</h2><p>Two processors of one machine, synthetic messages, and a "
    "process per repetition: no other load, no real application. Peers are used through their "
    "fastest call that answers; someone who knows them better may get more out of them. Queues "
    "that wait inside have no full or empty answer to give, which is worth something, and saves "
    "something. Aeron is not packaged, and not in this run. "
    "Ratios within this page hold; figures of two runs do not compare.</p>";

}  // namespace

std::string page_html(const RunOutcome& outcome, const MachineFacts& machine,
                      const std::string& settings) {
  const std::vector<Verdict> verdicts = judge_goals(outcome);
  return head(outcome, machine, verdicts) + verdict_table(verdicts) + group_sections(outcome) +
         method(outcome, machine, settings) + kLimits +
         "<details><summary>All figures as JSON</summary><pre>" +
         escaped(outcome_json(outcome, machine)) + "</pre></details></main></body></html>\n";
}

}  // namespace slipring::bench

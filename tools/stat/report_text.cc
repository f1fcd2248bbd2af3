#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <utility>

#include "pipelines/stage/error_text.h"
#include "pipelines/stage/stage.h"
#include "tools/cli/table.h"
#include "tools/cli/units.h"
#include "tools/stat/report.h"

namespace slipring::tools {
namespace {

std::string fill_text(const LinkSample& link) {
  const LinkReport& report = link.report;
  const bool is_records = is_counted_in_bytes(report.shape);
  std::string text =
      percentage(report.fill, report.capacity) + " of " +
      (is_records ? binary_size(report.capacity)
                  : std::to_string(report.capacity) + " " + slipring::name_of(report.shape.kind));
  return text;
}

Cell holder_cell(const EndReport& end) {
  switch (presence_of(end)) {
    case Presence::kHeld:
      return {end.process_id != 0 ? std::to_string(end.process_id) : "elsewhere", Tone::kGood};
    case Presence::kGone:
      return {"gone", Tone::kWarning};
    case Presence::kClosed:
      return {"closed", Tone::kPlain};
    case Presence::kNever:
      break;
  }
  return {"never", Tone::kFaint};
}

std::vector<Cell> end_row(std::string first, const char* role, const EndReport& end,
                          const EndRates* rates) {
  return {std::move(first),
          role,
          holder_cell(end),
          std::to_string(end.incarnation),
          si_amount(static_cast<double>(end.message_count)),
          rates != nullptr ? si_amount(rates->messages_per_s) : "-",
          rates != nullptr ? si_amount(rates->bytes_per_s, "B") : "-",
          si_amount(static_cast<double>(end.blocked_count)),
          si_amount(static_cast<double>(end.sleep_count))};
}

// What is worth a line of its own, because it is not so every day.
void add_notes(const LinkSample& link, Table& table) {
  const LinkReport& report = link.report;
  std::string facts;
  const auto add = [&facts](const std::string& text) {
    facts += (facts.empty() ? "" : ", ") + text;
  };
  if (link.peak_fill > report.fill) add("peak " + percentage(link.peak_fill, report.capacity));
  if (report.shape.pool_buffer_count != 0) {
    add(std::to_string(report.pool_lent_count) + " of " +
        std::to_string(report.shape.pool_buffer_count) + " buffers of " +
        binary_size(report.shape.pool_buffer_bytes) + " lent");
  }
  if (report.is_guarded) {
    add(slipring::name_of(std::max(report.writer.protection, report.reader.protection)));
  }
  if (is_lane_set(report.shape)) {
    const auto is_held = [](const LinkReport::Lane& lane) {
      return presence_of(lane.writer) == Presence::kHeld;
    };
    add(std::to_string(std::count_if(report.lanes.begin(), report.lanes.end(), is_held)) + " of " +
        std::to_string(report.shape.lane_count) + " lanes held");
  }
  if (!report.places.empty()) {
    std::uint64_t lost = 0;
    std::uint32_t member_count = 0;
    for (const LinkReport::Place& place : report.places) {
      lost += place.lost;
      if (place.is_member) ++member_count;
    }
    add(std::to_string(member_count) + " of " + std::to_string(report.places.size()) +
        " places joined, " + std::to_string(lost) + " lost");
  }
  if (report.shape.credit_count != 0) {
    add("credit " + std::to_string(report.shape.credit_count));
  }
  if (report.writer.is_asleep && presence_of(report.writer) == Presence::kHeld) {
    add("writer asleep");
  }
  if (!facts.empty()) table.add_line({"  " + facts, Tone::kFaint});

  facts.clear();
  const auto add_count = [&](const char* what, std::uint64_t count) {
    if (count != 0) add(std::string(what) + " " + std::to_string(count));
  };
  add_count("aborts", report.writer.abort_count);
  add_count("dropped as aborted", report.reader.abort_count);
  add_count("redelivered", report.reader.redelivered_count);
  add_count("recovered buffers", report.writer.recovered_count);
  if (presence_of(report.writer) == Presence::kHeld && !report.writer.is_locked) {
    add("writer's memory not locked");
  }
  if (presence_of(report.reader) == Presence::kHeld && !report.reader.is_locked) {
    add("reader's memory not locked");
  }
  if (!facts.empty()) table.add_line({"  " + facts, Tone::kPlain});

  for (const slipring::EndReport* end : {&report.writer, &report.reader}) {
    if (end->corrupt_count == 0) continue;
    const std::string text = "  corrupt " + std::to_string(end->corrupt_count) + ": the " +
                             (end == &report.writer ? "reader" : "writer") +
                             " wrote impossible values and was shut out: " +
                             slipring::offender_text(end->offender_process_id, end->offender_user);
    table.add_line({text, Tone::kBad});
  }
}

std::string links_text(const Comparison& comparison, bool in_colour) {
  Table table({{"LINK"},
               {"END"},
               {"PID"},
               {"LIFE", Align::kRight},
               {"MSGS", Align::kRight},
               {"MSG/S", Align::kRight},
               {"DATA/S", Align::kRight},
               {"BLOCKED", Align::kRight},
               {"SLEEPS", Align::kRight}});
  for (const LinkSample& link : comparison.now().links) {
    const std::optional<LinkRates> rates = comparison.rates(link);
    table.add_row(
        end_row(link.name, "writer", link.report.writer, rates ? &rates->writer : nullptr));
    table.add_row(end_row("  " + fill_text(link), "reader", link.report.reader,
                          rates ? &rates->reader : nullptr));
    add_notes(link, table);
  }
  return table.is_empty() ? "" : table.text(in_colour);
}

std::string processes_text(const Comparison& comparison, bool in_colour) {
  Table table({{"PROCESS"},
               {"PID", Align::kRight},
               {"CPU", Align::kRight},
               {"RESIDENT", Align::kRight},
               {"LOCKED", Align::kRight},
               {"THREADS", Align::kRight},
               {"STATE"}});
  for (const ProcessSample& process : comparison.now().processes) {
    std::array<char, 32> cpu{"-"};
    if (const std::optional<double> percent = comparison.cpu_percent(process)) {
      std::snprintf(cpu.data(), cpu.size(), "%.1f %%", *percent);
    }
    table.add_row(
        {process.name, std::to_string(process.process_id), cpu.data(),
         binary_size(process.usage.resident_bytes), binary_size(process.usage.locked_bytes),
         std::to_string(process.usage.thread_count), std::string(1, process.usage.state)});
  }
  return table.is_empty() ? "" : table.text(in_colour);
}

std::string board_text(const Comparison& comparison, const BoardSample& board, bool in_colour) {
  const bool is_held = board.stage.presence == Presence::kHeld;
  std::string head = toned(board.name, Tone::kStrong, in_colour);
  if (is_held) {
    head += "  pid " + std::to_string(board.stage.process_id);
  } else {
    head += std::string("  ") + name_of(board.stage.presence);
  }
  head += ", life " + std::to_string(board.stage.incarnation) + "\n";
  Table table({{""}, {"", Align::kRight}, {"", Align::kRight}});
  for (const BoardObserver::Entry& entry : board.entries) {
    if (is_private_entry(entry.name)) continue;
    const std::optional<double> rate = comparison.rate(board, entry);
    table.add_row({"  " + std::string(entry.name), std::to_string(entry.value),
                   rate && *rate > 0 ? si_amount(*rate) + "/s" : ""});
  }
  return head + table.text(in_colour);
}

}  // namespace

std::string report_text(const Comparison& comparison, bool in_colour) {
  std::string text;
  const auto add = [&text](const std::string& section) {
    if (section.empty()) return;
    if (!text.empty()) text += '\n';
    text += section;
  };
  add(links_text(comparison, in_colour));
  add(processes_text(comparison, in_colour));
  for (const BoardSample& board : comparison.now().boards) {
    add(board_text(comparison, board, in_colour));
  }
  return text;
}

}  // namespace slipring::tools

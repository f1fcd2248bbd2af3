#include "tools/bench/cell.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "core/error/check.h"
#include "tools/bench/line_bounce.h"
#include "tools/bench/ticks.h"

namespace slipring::bench {
namespace {

std::string number_text(double number) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", number);
  return text;
}

// "12:3 14:1", the buckets that are not empty.
std::string histogram_text(const Histogram& histogram) {
  std::string text;
  for (std::size_t i = 0; i < Histogram::kBucketCount; ++i) {
    if (histogram.count_in(i) == 0) continue;
    text += ' ' + std::to_string(i) + ':' + std::to_string(histogram.count_in(i));
  }
  return text;
}

bool read_histogram(std::istringstream& words, Histogram& histogram) {
  std::size_t bucket = 0;
  std::uint64_t count = 0;
  char colon = 0;
  while (words >> bucket >> colon >> count) {
    if (colon != ':' || bucket >= Histogram::kBucketCount) return false;
    histogram.add(Histogram::upper_of(bucket), count);
  }
  return words.eof();
}

bool read_line(const std::string& line, CellResult& result) {
  std::istringstream words(line);
  std::string key;
  words >> key;
  if (key == "value") return !!(words >> result.value);
  if (key == "messages") return !!(words >> result.message_count);
  if (key == "lost") return !!(words >> result.faults.lost);
  if (key == "reordered") return !!(words >> result.faults.reordered);
  if (key == "torn") return !!(words >> result.faults.torn);
  if (key == "stalled") return !!(words >> result.stalled);
  if (key == "bounce") return !!(words >> result.bounce_before_ns >> result.bounce_after_ns);
  if (key == "ticks") return !!(words >> result.ns_per_tick >> result.resolution_ns);
  if (key == "latency") return read_histogram(words, result.latency);
  if (key == "skipped") {
    std::getline(words >> std::ws, result.skipped);
    return true;
  }
  if (key == "extra") {
    std::string name;
    double number = 0;
    if (!(words >> name >> number)) return false;
    result.extras.emplace_back(name, number);
    return true;
  }
  return false;
}

}  // namespace

std::string CellResult::to_text() const {
  std::string text = "value " + number_text(value) + '\n';
  text += "messages " + std::to_string(message_count) + '\n';
  text += "lost " + std::to_string(faults.lost) + '\n';
  text += "reordered " + std::to_string(faults.reordered) + '\n';
  text += "torn " + std::to_string(faults.torn) + '\n';
  text += std::string("stalled ") + (stalled ? "1" : "0") + '\n';
  text += "bounce " + number_text(bounce_before_ns) + ' ' + number_text(bounce_after_ns) + '\n';
  text += "ticks " + number_text(ns_per_tick) + ' ' + number_text(resolution_ns) + '\n';
  if (latency.total() != 0) text += "latency" + histogram_text(latency) + '\n';
  for (const auto& [name, number] : extras) {
    text += "extra " + name + ' ' + number_text(number) + '\n';
  }
  if (!skipped.empty()) text += "skipped " + skipped + '\n';
  return text + "end\n";
}

std::optional<CellResult> CellResult::from_text(std::string_view text) {
  std::istringstream lines{std::string(text)};
  CellResult result;
  for (std::string line; std::getline(lines, line);) {
    if (line == "end") return result;
    if (!read_line(line, result)) return std::nullopt;
  }
  return std::nullopt;
}

void Registry::add(std::string_view workload, const Contender& contender, CellFunction run) {
  const Workload* const found = find_workload(workload);
  check(found != nullptr, "a contender names a workload that does not exist");
  cells_.push_back({found, &contender, run});
}

const Cell* Registry::find(std::string_view name) const noexcept {
  for (const Cell& cell : cells_) {
    if (cell_name(cell) == name) return &cell;
  }
  return nullptr;
}

const Workload* find_workload(std::string_view id) noexcept {
  for (const Workload& workload : workloads()) {
    if (id == workload.id) return &workload;
  }
  return nullptr;
}

std::string cell_name(const Cell& cell) {
  return std::string(cell.workload->id) + '/' + cell.contender->id;
}

int run_cell_here(const Cell& cell, const CellSettings& settings) {
  // Under an instruction counter only the cell's own instructions may vary.
  const bool is_counted = cell.workload->unit == Unit::kInstructions;
  if (is_counted) return cell.run(settings).faults.is_clean() ? EXIT_SUCCESS : EXIT_FAILURE;
  const double before_ns = line_bounce_ns(settings);
  CellResult result = cell.run(settings);
  result.bounce_before_ns = before_ns;
  result.bounce_after_ns = line_bounce_ns(settings);
  result.ns_per_tick = tick_rate().ns_per_tick;
  result.resolution_ns = tick_rate().resolution_ns;
  const std::string text = result.to_text();
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0
             ? EXIT_SUCCESS
             : EXIT_FAILURE;
}

}  // namespace slipring::bench

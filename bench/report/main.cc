// The page of figures: ours, every packaged peer, the kernel, and the raw limits, in one run.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

#include "bench/adapter/adapter_contenders.h"
#include "bench/peers/peers.h"
#include "bench/report/page.h"
#include "bench/report/plot.h"
#include "bench/report/verdicts.h"
#include "tools/bench/contenders.h"
#include "tools/bench/machine_facts.h"
#include "tools/bench/outcome_json.h"
#include "tools/bench/runner.h"

namespace slipring::bench {
namespace {

struct Options {
  bool quick = false;
  bool full = false;
  std::string page = "slipring-bench.html";
  std::string json;
  std::string plot;
  std::string only = ".";
  double budget_s = 0;
  CellRequest cell;
  std::string cpus;
};

struct Length {
  std::uint32_t repetition_count;
  std::uint64_t duration_ns;
  double budget_s;
};

Length length_of(const Options& options) {
  Length length{5, 100'000'000, 570};
  if (options.quick) length = {2, 20'000'000, 80};
  if (options.full) length = {11, 250'000'000, 3600};
  if (options.budget_s > 0) length.budget_s = options.budget_s;
  return length;
}

void show_progress(std::size_t done, std::size_t total, const std::string& name) {
  std::fprintf(stderr, "\r\033[K%3zu%%  %s", total == 0 ? 100 : done * 100 / total, name.c_str());
  std::fflush(stderr);
}

bool write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) std::fprintf(stderr, "report: cannot write %s\n", path.c_str());
  return !!file;
}

// A relative path is meant from where the user stands, not from where Bazel runs the program.
std::string from_users_folder(const std::string& path) {
  const char* const folder = std::getenv("BUILD_WORKING_DIRECTORY");
  if (path.empty() || path.front() == '/' || folder == nullptr) return path;
  return std::string(folder) + '/' + path;
}

void print_goals(const RunOutcome& outcome) {
  for (const Verdict& verdict : judge_goals(outcome)) {
    const char* const word = verdict.won == Won::kYes  ? "reached"
                             : verdict.won == Won::kNo ? "missed "
                                                       : "not measured";
    if (verdict.won == Won::kUnknown) continue;
    std::printf("%s  %6.2f  %s: %s; %s against %s\n", word, verdict.ratio, verdict.workload.c_str(),
                verdict.goal.c_str(), verdict.ours.c_str(),
                verdict.against.empty() ? "nothing" : verdict.against.c_str());
  }
}

int measure(const Registry& registry, const Options& options) {
  std::vector<const Cell*> cells;
  const std::regex only(options.only);
  for (const Cell& cell : registry.cells()) {
    if (std::regex_search(cell_name(cell), only)) cells.push_back(&cell);
  }
  if (cells.empty()) {
    std::fprintf(stderr, "report: nothing is called %s\n", options.only.c_str());
    return 2;
  }
  const Length length = length_of(options);
  RunnerOptions runner;
  runner.settings = default_settings();
  runner.settings.duration_ns = length.duration_ns;
  runner.repetition_count = length.repetition_count;
  runner.budget_ns = static_cast<std::uint64_t>(length.budget_s * 1e9);
  if (isatty(STDERR_FILENO) != 0) runner.progress = show_progress;
  const MachineFacts machine = machine_facts();
  const RunOutcome outcome = run_cells(cells, runner);
  if (runner.progress) std::fputs("\r\033[K", stderr);
  char settings[160];
  std::snprintf(settings, sizeof settings,
                "%u repetitions of %.0f ms each; %zu cells; processors %u and %u%s",
                length.repetition_count, static_cast<double>(length.duration_ns) / 1e6,
                cells.size(), runner.settings.cpu_here, runner.settings.cpu_there,
                machine.is_optimised ? "" : "; NOT OPTIMISED: build with -c opt");
  print_goals(outcome);
  bool written = write_file(from_users_folder(options.page), page_html(outcome, machine, settings));
  if (!options.json.empty()) {
    written &= write_file(from_users_folder(options.json), outcome_json(outcome, machine));
  }
  if (!options.plot.empty()) {
    const std::string caption = machine.processor + ", " + std::to_string(machine.processor_count) +
                                " processors" + (machine.is_virtual ? ", virtual" : "") +
                                "; medians of one run, " + machine.time;
    written &= write_file(from_users_folder(options.plot), main_plot(outcome, caption));
  }
  std::printf("%s: %zu cells, %llu messages checked, %.0f s\n", options.page.c_str(), cells.size(),
              static_cast<unsigned long long>(outcome.message_count), outcome.duration_s);
  return written ? 0 : 1;
}

int report(int argc, char** argv) {
  Options options;
  CLI::App app("Measures slipring and its peers side by side, and writes one page of HTML.",
               "report");
  app.add_flag("--quick", options.quick, "At most 90 seconds");
  app.add_flag("--full", options.full, "Eleven repetitions; about an hour");
  app.add_option("--out", options.page, "The page")->capture_default_str();
  app.add_option("--json", options.json, "The figures, for programs");
  app.add_option("--plot", options.plot, "The main figures as one SVG picture");
  app.add_option("--only", options.only,
                 "Cells that this regular expression finds, for example "
                 "'^mpmc8' or '/vyukov$'");
  app.add_option("--budget", options.budget_s, "Seconds after which nothing new begins");
  app.add_option("--cell", options.cell.name)->group("");
  app.add_option("--duration-ns", options.cell.settings.duration_ns)->group("");
  app.add_option("--cpus", options.cpus)->group("");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& fault) {
    return app.exit(fault) == 0 ? 0 : 2;
  }
  Registry registry;
  add_slipring(registry);
  add_slipring_links(registry);
  add_slipring_waiting(registry);
  add_protection(registry);
  add_calls(registry);
  add_senders(registry);
  add_abort(registry);
  add_control_looks(registry);
  add_all_peers(registry);
  add_kernel(registry);
  add_raw_limits(registry);
  if (options.cell.name.empty()) return measure(registry, options);
  if (!parse_cpus(options.cpus, options.cell.settings)) return 2;
  return answer_cell_request(registry, options.cell);
}

}  // namespace
}  // namespace slipring::bench

int main(int argc, char** argv) {
  return slipring::bench::report(argc, argv);
}

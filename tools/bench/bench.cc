#include "tools/bench/bench.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <vector>

#include "tools/bench/contenders.h"
#include "tools/bench/machine_facts.h"
#include "tools/bench/outcome_json.h"
#include "tools/bench/runner.h"
#include "tools/cli/table.h"
#include "tools/cli/terminal.h"
#include "tools/cli/units.h"

namespace slipring::tools {
namespace {

constexpr std::uint64_t kDefaultNs = 8'000'000'000;
constexpr std::uint32_t kRepetitionCount = 3;
constexpr std::uint64_t kOverheadNs = 30'000'000;  // of a repetition: start, probes, page faults
// Two processors of one core complex do it in less; beyond, the figures speak of the distance.
constexpr double kFarBounceNs = 200;

struct Row {
  const char* workload;
  const char* title;
  const char* ours;
  const char* limit;  // empty: the hardware names none
};
constexpr std::array<Row, 6> kRows{
    Row{"spsc8.1k", "8 B, one at a time", "slipring.spsc", "hand-over"},
    {"spsc8.batch", "8 B, batches of 32", "slipring.spsc", "hand-over"},
    {"trip8", "8 B there and back", "slipring.spsc", "line"},
    {"record64", "64 B records", "slipring.record", "hand-over"},
    {"record4k", "4 KiB records", "slipring.record", "hand-over"},
    {"mpmc8.2x2", "8 B, 2 producers, 2 consumers", "slipring.mpmc", ""}};
constexpr std::array<const char*, 2> kInstead{"pipe", "unix-stream"};

std::vector<const bench::Cell*> chosen_cells(const bench::Registry& registry) {
  std::vector<const bench::Cell*> cells;
  for (const Row& row : kRows) {
    for (const char* contender : {row.ours, kInstead[0], kInstead[1], row.limit}) {
      const std::string name = std::string(row.workload) + '/' + contender;
      if (const bench::Cell* cell = registry.find(name); cell != nullptr) cells.push_back(cell);
    }
  }
  return cells;
}

const bench::Measured* find(const bench::RunOutcome& outcome, const Row& row,
                            std::string_view contender) {
  for (const bench::Measured& measured : outcome.measured) {
    if (row.workload == std::string_view(measured.cell->workload->id) &&
        contender == measured.cell->contender->id && measured.was_measured()) {
      return &measured;
    }
  }
  return nullptr;
}

std::string figure(const bench::Measured* measured) {
  if (measured == nullptr) return "-";
  const double value = measured->value.median;
  switch (measured->cell->workload->unit) {
    case bench::Unit::kMessagesPerSecond:
      return si_amount(value, "/s");
    case bench::Unit::kBytesPerSecond:
      return si_amount(value, "B/s");
    default:
      return std::to_string(static_cast<std::uint64_t>(value + 0.5)) + " ns";
  }
}

// How many times better ours is: by rate, or by time.
std::string ratio(const bench::Measured* ours, const bench::Measured* other) {
  if (ours == nullptr || other == nullptr) return "-";
  if (ours->value.median <= 0 || other->value.median <= 0) return "-";
  const bool more = bench::more_is_better(ours->cell->workload->unit);
  const double times =
      more ? ours->value.median / other->value.median : other->value.median / ours->value.median;
  char text[32];
  std::snprintf(text, sizeof text, times >= 10 ? "%.0f x" : "%.2f x", times);
  return text;
}

void print_table(const bench::RunOutcome& outcome) {
  Table table({{"WORKLOAD"},
               {"SLIPRING", Align::kRight},
               {"PIPE", Align::kRight},
               {"", Align::kRight},
               {"UNIX SOCKET", Align::kRight},
               {"", Align::kRight},
               {"LIMIT", Align::kRight},
               {"", Align::kRight}});
  for (const Row& row : kRows) {
    const bench::Measured* const ours = find(outcome, row, row.ours);
    const bench::Measured* const pipe = find(outcome, row, kInstead[0]);
    const bench::Measured* const socket = find(outcome, row, kInstead[1]);
    const bench::Measured* const limit = find(outcome, row, row.limit);
    table.add_row({row.title,
                   {figure(ours), Tone::kStrong},
                   figure(pipe),
                   {ratio(ours, pipe), Tone::kFaint},
                   figure(socket),
                   {ratio(ours, socket), Tone::kFaint},
                   figure(limit),
                   {ratio(ours, limit), Tone::kFaint}});
  }
  print(table.text(wants_colour(STDOUT_FILENO)));
}

void print_standing(const bench::RunOutcome& outcome) {
  const bench::Measured* const trip = find(outcome, kRows[2], kRows[2].ours);
  if (trip == nullptr || outcome.best_bounce_ns <= 0) return;
  char text[200];
  std::snprintf(text, sizeof text,
                "\nOne cache line goes there and back in %.0f ns here; a message takes %.0f ns, "
                "%.2f times that.\nEvery word of %s messages was checked.\n",
                outcome.best_bounce_ns, trip->value.median,
                trip->value.median / outcome.best_bounce_ns,
                si_amount(static_cast<double>(outcome.message_count)).c_str());
  print(text);
}

void warn(const bench::MachineFacts& machine, const bench::RunOutcome& outcome) {
  if (machine.processor_count < 2) {
    remark("bench", "only one processor: two sides take turns, and the figures mean little");
  }
  if (machine.is_virtual) {
    remark("bench", "a virtual machine: its host may move the processors apart at any moment");
  }
  if (outcome.best_bounce_ns > kFarBounceNs) {
    remark("bench", "the two processors are far apart: one line takes " +
                        std::to_string(static_cast<std::uint64_t>(outcome.best_bounce_ns)) +
                        " ns there and back");
  }
  if (outcome.far_count != 0) {
    remark("bench", std::to_string(outcome.far_count) +
                        " repetitions ran with the processors far apart, and were left out");
  }
  if (!machine.is_optimised) remark("bench", "this program was built without optimisation");
}

// Says what each contender did wrong; answers whether any did.
bool complain_of_faults(const bench::RunOutcome& outcome) {
  bool any = false;
  for (const bench::Measured& measured : outcome.measured) {
    if (measured.faults.is_clean() && measured.stall_count == 0) continue;
    any = true;
    complain("bench", bench::cell_name(*measured.cell) + ": " +
                          std::to_string(measured.faults.lost) + " lost, " +
                          std::to_string(measured.faults.reordered) + " out of order, " +
                          std::to_string(measured.faults.torn) + " torn, " +
                          std::to_string(measured.stall_count) + " stalls");
  }
  return any;
}

ExitStatus run_one_cell(const bench::Registry& registry, const BenchRequest& request) {
  bench::CellRequest cell;
  cell.name = request.cell;
  cell.settings.duration_ns = std::strtoull(request.duration_ns.c_str(), nullptr, 10);
  if (cell.settings.duration_ns == 0 || !bench::parse_cpus(request.cpus, cell.settings)) {
    return ExitStatus::kUsage;
  }
  return bench::answer_cell_request(registry, cell) == 0 ? ExitStatus::kOk : ExitStatus::kFailure;
}

}  // namespace

ExitStatus bench(const BenchRequest& request) {
  bench::Registry registry;
  bench::add_slipring(registry);
  bench::add_kernel(registry);
  bench::add_raw_limits(registry);
  if (!request.cell.empty()) return run_one_cell(registry, request);
  std::optional<std::uint64_t> wanted_ns = kDefaultNs;
  if (!request.seconds.empty()) wanted_ns = parse_seconds_ns(request.seconds);
  if (!wanted_ns) {
    complain("bench", "--seconds wants a number of seconds, not '" + request.seconds + "'");
    return ExitStatus::kUsage;
  }
  const std::vector<const bench::Cell*> cells = chosen_cells(registry);
  const std::uint64_t share_ns = *wanted_ns / (cells.size() * kRepetitionCount);
  bench::RunnerOptions options;
  options.arguments = {"bench"};
  options.settings = bench::default_settings();
  options.settings.duration_ns =
      std::max<std::uint64_t>(10'000'000, share_ns > kOverheadNs ? share_ns - kOverheadNs : 0);
  options.repetition_count = kRepetitionCount;
  options.budget_ns = 3 * *wanted_ns;
  if (isatty(STDERR_FILENO) != 0) {
    options.progress = [](std::size_t done, std::size_t total, const std::string& name) {
      std::fprintf(stderr, "\r\033[K%3zu %%  %s", done * 100 / total, name.c_str());
    };
  }
  const bench::MachineFacts machine = bench::machine_facts();
  const bench::RunOutcome outcome = bench::run_cells(cells, options);
  if (options.progress) std::fputs("\r\033[K", stderr);
  if (request.json) {
    print(bench::outcome_json(outcome, machine));
  } else {
    print_table(outcome);
    print_standing(outcome);
  }
  warn(machine, outcome);
  return complain_of_faults(outcome) ? ExitStatus::kFailure : ExitStatus::kOk;
}

}  // namespace slipring::tools

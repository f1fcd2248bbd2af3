#include "tools/bench/runner.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "platform/process/child.h"
#include "platform/wait/clock.h"
#include "tools/bench/machine_facts.h"

namespace slipring::bench {
namespace {

constexpr std::uint64_t kStartNs = 2'000'000'000;      // for probes and page faults
constexpr std::uint64_t kValgrindNs = 60'000'000'000;  // it is fifty times slower
constexpr std::uint32_t kRedoPasses = 3;
constexpr std::uint64_t kCountedMessages = 100'000;  // between two instruction counts

struct Output {
  std::string text;
  bool in_time = false;
};

// Reads until the other end is closed or the deadline passes.
Output read_all(int fd, std::uint64_t deadline_ns) {
  Output output;
  std::array<char, 65536> buffer;
  for (;;) {
    const std::uint64_t now_ns = monotonic_ns();
    if (now_ns >= deadline_ns) return output;
    pollfd waited{fd, POLLIN, 0};
    const auto timeout_ms = static_cast<int>((deadline_ns - now_ns) / 1'000'000 + 1);
    if (::poll(&waited, 1, timeout_ms) <= 0) continue;
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count == 0) {
      output.in_time = true;
      return output;
    }
    if (count > 0) output.text.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

struct Ran {
  Output output;
  bool started = false;
  bool succeeded = false;
};

// Runs a program, takes what it writes to `its_fd` (1 or 2), and ends it with all that it started.
Ran run_program(const std::string& program, const std::vector<std::string>& arguments, int its_fd,
                std::uint64_t timeout_ns) {
  Ran ran;
  std::array<int, 2> pipe_fds{};
  if (pipe2(pipe_fds.data(), O_CLOEXEC) != 0) return ran;
  const int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
  ChildOptions options;
  options.program = program;
  options.arguments = arguments;
  options.stdout_fd = its_fd == 1 ? pipe_fds[1] : null_fd;
  options.stderr_fd = its_fd == 2 ? pipe_fds[1] : -1;
  Result<Peer> child = start_child(options);
  close(pipe_fds[1]);
  close(null_fd);
  if (child) {
    ran.started = true;
    const std::uint64_t deadline_ns = deadline_after(timeout_ns);
    ran.output = read_all(pipe_fds[0], deadline_ns);
    // Its own children are in its group, and may outlive it.
    if (!ran.output.in_time) kill(-child.value().pid(), SIGKILL);
    const auto ended = child.value().reap(kNoDeadline);
    ran.succeeded = ended && ended.value().has_value() && ended.value()->is_success();
  }
  close(pipe_fds[0]);
  return ran;
}

std::vector<std::string> cell_arguments(const Cell& cell, const RunnerOptions& options,
                                        std::uint64_t duration_ns) {
  std::vector<std::string> arguments = options.arguments;
  const CellSettings& settings = options.settings;
  for (const std::string& word :
       {std::string("--cell"), cell_name(cell), std::string("--duration-ns"),
        std::to_string(duration_ns), std::string("--cpus"),
        std::to_string(settings.cpu_here) + ',' + std::to_string(settings.cpu_there)}) {
    arguments.push_back(word);
  }
  return arguments;
}

std::string own_program() {
  std::array<char, 4096> path{};
  const ssize_t size = readlink("/proc/self/exe", path.data(), path.size() - 1);
  return size > 0 ? std::string(path.data(), static_cast<std::size_t>(size)) : "";
}

// "==1== Collected : 123456", as callgrind ends.
bool read_instructions(const std::string& text, double& count) {
  const std::size_t at = text.rfind("Collected : ");
  return at != std::string::npos && std::sscanf(text.c_str() + at, "Collected : %lf", &count) == 1;
}

CellResult count_instructions(const Cell& cell, const RunnerOptions& options) {
  CellResult result;
  std::array<double, 2> counts{};
  for (std::size_t i = 0; i < 2; ++i) {
    std::vector<std::string> arguments{"--tool=callgrind", "--callgrind-out-file=/dev/null",
                                       own_program()};
    for (std::string& word : cell_arguments(cell, options, (i + 1) * kCountedMessages)) {
      arguments.push_back(std::move(word));
    }
    const Ran ran = run_program("valgrind", arguments, 2, kValgrindNs);
    if (!ran.started) {
      result.skipped = "valgrind is not installed";
      return result;
    }
    if (!read_instructions(ran.output.text, counts[i])) {
      result.skipped = "callgrind could not run it";
      return result;
    }
  }
  result.value = (counts[1] - counts[0]) / static_cast<double>(kCountedMessages);
  result.message_count = 3 * kCountedMessages;
  return result;
}

// The order of one workload: there and back again, as often as there are repetitions.
std::vector<std::size_t> order_of(const std::vector<std::size_t>& cells,
                                  std::uint32_t repetition_count) {
  std::vector<std::size_t> order;
  for (std::uint32_t i = 0; i < repetition_count; ++i) {
    if (i % 2 == 0) {
      order.insert(order.end(), cells.begin(), cells.end());
    } else {
      order.insert(order.end(), cells.rbegin(), cells.rend());
    }
  }
  return order;
}

class Run {
 public:
  Run(const std::vector<const Cell*>& cells, const RunnerOptions& options)
      : cells_(cells), options_(options), begin_ns_(monotonic_ns()) {
    outcome_.measured.resize(cells.size());
    for (std::size_t i = 0; i < cells.size(); ++i) outcome_.measured[i].cell = cells[i];
    total_ = cells.size() * options.repetition_count;
  }

  RunOutcome go() {
    std::vector<bool> done(cells_.size(), false);
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      if (done[i]) continue;
      std::vector<std::size_t> same;
      for (std::size_t k = i; k < cells_.size(); ++k) {
        if (cells_[k]->workload != cells_[i]->workload) continue;
        same.push_back(k);
        done[k] = true;
      }
      measure_workload(same);
    }
    for (std::uint32_t pass = 0; pass < kRedoPasses; ++pass) redo_far();
    for (Measured& measured : outcome_.measured) {
      settle(measured, outcome_.best_bounce_ns);
      outcome_.far_count += measured.far_count;
    }
    outcome_.duration_s = static_cast<double>(monotonic_ns() - begin_ns_) / 1e9;
    return std::move(outcome_);
  }

 private:
  [[nodiscard]] bool has_time() const { return monotonic_ns() - begin_ns_ < options_.budget_ns; }

  void measure_workload(const std::vector<std::size_t>& cells) {
    for (const std::size_t index : order_of(cells, options_.repetition_count)) {
      ++done_;
      Measured& measured = outcome_.measured[index];
      // What is skipped or stalls does so every time; an instruction count never changes.
      const bool is_settled =
          !measured.skipped.empty() || measured.stall_count >= 2 ||
          (measured.was_measured() && measured.cell->workload->unit == Unit::kInstructions);
      if (is_settled) continue;
      if (!has_time()) {
        ++outcome_.left_out_count;
        continue;
      }
      measure(measured);
    }
  }

  void measure(Measured& measured) {
    if (options_.progress) options_.progress(done_, total_, cell_name(*measured.cell));
    CellResult result = run_in_process(*measured.cell, options_);
    if (!result.skipped.empty()) {
      measured.skipped = result.skipped;
      return;
    }
    for (const double bounce_ns : {result.bounce_before_ns, result.bounce_after_ns}) {
      if (bounce_ns <= 0) continue;
      if (outcome_.first_bounce_ns == 0) outcome_.first_bounce_ns = bounce_ns;
      outcome_.last_bounce_ns = bounce_ns;
      bounces_.push_back(bounce_ns);
    }
    find_near_bounce();
    outcome_.message_count += result.message_count;
    if (result.stalled) ++measured.stall_count;
    measured.repetitions.push_back(std::move(result));
  }

  void find_near_bounce() {
    if (bounces_.empty()) return;
    const auto tenth = bounces_.begin() + static_cast<std::ptrdiff_t>(bounces_.size() / 10);
    std::nth_element(bounces_.begin(), tenth, bounces_.end());
    outcome_.best_bounce_ns = *tenth;
  }

  // A near repetition takes the place of a far one.  Over all workloads, and over them again.
  void redo_far() {
    for (Measured& measured : outcome_.measured) {
      for (std::size_t i = 0; i < measured.repetitions.size(); ++i) {
        if (!is_far(measured.repetitions[i], outcome_.best_bounce_ns)) continue;
        if (measured.stall_count != 0 || !has_time()) continue;
        ++outcome_.redone_count;
        const std::size_t count = measured.repetitions.size();
        measure(measured);
        if (measured.repetitions.size() == count) continue;
        if (!is_far(measured.repetitions.back(), outcome_.best_bounce_ns)) {
          measured.repetitions[i] = std::move(measured.repetitions.back());
        }
        measured.repetitions.pop_back();
      }
    }
  }

  const std::vector<const Cell*>& cells_;
  const RunnerOptions& options_;
  std::uint64_t begin_ns_;
  RunOutcome outcome_;
  std::size_t total_ = 0;
  std::size_t done_ = 0;
  std::vector<double> bounces_;  // every probe; in no order
};

}  // namespace

Summary summarise(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {median, values.front(), values.back()};
}

bool is_far(const CellResult& result, double best_bounce_ns) noexcept {
  return std::max(result.bounce_before_ns, result.bounce_after_ns) > kFarFactor * best_bounce_ns;
}

CellResult run_in_process(const Cell& cell, const RunnerOptions& options) {
  if (cell.workload->unit == Unit::kInstructions) return count_instructions(cell, options);
  const std::uint64_t duration_ns = options.settings.duration_ns;
  // A few kinds of cells run several times as long as they are asked to.
  const std::optional<double> joules_before = energy_joules();
  const Ran ran = run_program(own_program(), cell_arguments(cell, options, duration_ns), 1,
                              8 * duration_ns + kStartNs + 3 * kStallNs);
  CellResult result;
  if (auto read = CellResult::from_text(ran.output.text); read) {
    const std::optional<double> joules_after = energy_joules();
    if (joules_before && joules_after && *joules_after > *joules_before &&
        read->message_count != 0) {
      read->extras.emplace_back("joules_a_message", (*joules_after - *joules_before) /
                                                        static_cast<double>(read->message_count));
    }
    return *std::move(read);
  }
  if (!ran.started) {
    result.skipped = "its process did not start";
  } else if (ran.output.in_time) {
    result.skipped = "its process ended without a result";
  } else {
    result.stalled = true;
  }
  return result;
}

RunOutcome run_cells(const std::vector<const Cell*>& cells, const RunnerOptions& options) {
  return Run(cells, options).go();
}

void settle(Measured& measured, double best_bounce_ns) {
  std::vector<double> near;
  std::vector<double> all;
  for (const CellResult& result : measured.repetitions) {
    all.push_back(result.value);
    if (is_far(result, best_bounce_ns)) {
      ++measured.far_count;
    } else {
      near.push_back(result.value);
    }
    measured.faults.lost += result.faults.lost;
    measured.faults.reordered += result.faults.reordered;
    measured.faults.torn += result.faults.torn;
  }
  measured.is_far = near.empty() && !all.empty();
  measured.value = summarise(measured.is_far ? all : near);
  // One that stalled once is not to be relied on, whatever it did otherwise.
  if (measured.stall_count != 0) measured.value.median = 0;
  for (const CellResult& result : measured.repetitions) {
    if (!measured.is_far && is_far(result, best_bounce_ns)) continue;
    for (std::size_t i = 0; i < Histogram::kBucketCount; ++i) {
      if (result.latency.count_in(i) == 0) continue;
      const double ns = static_cast<double>(Histogram::upper_of(i)) * result.ns_per_tick;
      measured.latency_ns.add(static_cast<std::uint64_t>(ns), result.latency.count_in(i));
    }
  }
}

int answer_cell_request(const Registry& registry, const CellRequest& request) {
  const Cell* const cell = registry.find(request.name);
  if (cell == nullptr) {
    std::fprintf(stderr, "there is no cell %s\n", request.name.c_str());
    return EXIT_FAILURE;
  }
  return run_cell_here(*cell, request.settings);
}

bool parse_cpus(const std::string& text, CellSettings& settings) {
  char rest = 0;
  return std::sscanf(text.c_str(), "%u,%u%c", &settings.cpu_here, &settings.cpu_there, &rest) == 2;
}

}  // namespace slipring::bench

#include "pipelines/stage/runner.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include "pipelines/stage/error_text.h"
#include "pipelines/stage/live_state.h"
#include "pipelines/stage/plan_size.h"
#include "pipelines/stage/plan_topology.h"
#include "pipelines/stage/program_description.h"
#include "pipelines/stage/program_search.h"
#include "pipelines/stage/run_report.h"
#include "pipelines/stage/segments.h"
#include "pipelines/stage/stage.h"
#include "pipelines/stage/supervisor.h"
#include "platform/memory/mapping.h"
#include "platform/process/affinity.h"
#include "platform/wait/clock.h"

namespace slipring {
namespace {

std::string folder_of_this_program() {
  std::array<char, PATH_MAX> path;
  const ssize_t size = readlink("/proc/self/exe", path.data(), path.size());
  if (size <= 0) return ".";
  return std::filesystem::path(std::string_view(path.data(), static_cast<std::size_t>(size)))
      .parent_path()
      .string();
}

void append(std::vector<Finding>& findings, std::vector<Finding> more) {
  findings.insert(findings.end(), std::make_move_iterator(more.begin()),
                  std::make_move_iterator(more.end()));
}

void check_programs(PipelinePlan& plan, const RunOptions& options, std::vector<Finding>& findings) {
  const std::string own_folder =
      options.own_folder.empty() ? folder_of_this_program() : options.own_folder;
  const char* stage_path = getenv("SLIPRING_STAGE_PATH");
  const auto places =
      program_places(plan.name, own_folder, stage_path != nullptr ? stage_path : "");
  append(findings, resolve_programs(plan, places));
  std::map<std::string, DescribeAnswer> answers;  // several stages may be of one program
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    StagePlan& stage = plan.stages[i];
    if (stage.program_path.empty()) continue;
    auto answer = answers.find(stage.program_path);
    if (answer == answers.end()) {
      answer = answers.emplace(stage.program_path, ask_program(stage.program_path)).first;
    }
    if (answer->second.description) {
      stage.keeps_descriptors = answer->second.description->keeps_descriptors;
      stage.waits_in_epoll = answer->second.description->waits_in_epoll;
      append(findings, check_stage_program(plan, i, *answer->second.description));
      continue;
    }
    findings.push_back({stage.program_line, "program is no stage",
                        stage.program_path + " --describe: " + answer->second.fault,
                        "name a program that is written with the stage SDK"});
  }
}

void check_machine(const PipelinePlan& plan, std::vector<Finding>& findings) {
  if (Result<std::vector<std::uint32_t>> cpus = allowed_cpus(); cpus) {
    append(findings, check_cpus(plan, *cpus));
  }
  Result<MemlockBudget> budget = memlock_budget();
  if (budget && !budget->has_ipc_lock) append(findings, check_memlock(plan, budget->limit_bytes));
  Result<SegmentDirectory> directory = SegmentDirectory::open();
  if (!directory) {
    findings.push_back({0, "segment directory cannot be used",
                        SegmentDirectory::default_path() + ": " + describe_error(directory.error()),
                        "set SLIPRING_DIR to an absolute path on a tmpfs that is yours alone"});
    return;
  }
  struct statvfs space {};
  if (statvfs(directory->path().c_str(), &space) != 0) return;
  const std::uint64_t free_bytes = std::uint64_t{space.f_bavail} * space.f_frsize;
  append(findings, check_space(plan, directory->path(),
                               free_bytes + existing_segment_bytes(*directory, plan)));
}

// A parent may have left SIGCHLD ignored, and then nobody's exit status is kept.
void keep_exit_statuses() {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  sigaction(SIGCHLD, &standard, nullptr);
}

// SIGINT, SIGTERM and SIGHUP by descriptor instead of by handler, as long as it lives.
class StopSignals {
 public:
  StopSignals() {
    sigset_t stops;
    sigemptyset(&stops);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&stops, number);
    pthread_sigmask(SIG_BLOCK, &stops, &before_);
    fd_ = Descriptor(signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK));
    // A reader of our output who goes away is an answer of write(), not our death.
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &ignore, &pipe_before_);
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals() {
    // Those that came too late have been heeded: the run is over.
    while (next() != 0) {
    }
    sigaction(SIGPIPE, &pipe_before_, nullptr);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

  // Whether signals are heard at all.
  [[nodiscard]] bool is_open() const noexcept { return fd_.is_open(); }
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  // The next signal's number; 0 when there is none.
  [[nodiscard]] int next() const {
    signalfd_siginfo info{};
    if (read(fd_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return 0;
    return static_cast<int>(info.ssi_signo);
  }

 private:
  Descriptor fd_;
  sigset_t before_{};
  struct sigaction pipe_before_ {};
};

// The numbers that the runner itself publishes.
class RunnerNumbers {
 public:
  explicit RunnerNumbers(Board& board)
      : restarts_(board.number("restarts", BoardKind::kCounter)),
        deaths_by_signal_(board.number("deaths_by_signal", BoardKind::kCounter)),
        running_(board.number("stages_running", BoardKind::kGauge)) {
    board.number("started_ns", BoardKind::kGauge).set(monotonic_ns());
    // The board may be a killed run's, with its numbers.
    restarts_.set(0);
    deaths_by_signal_.set(0);
    running_.set(0);
  }

  void update(const Supervisor& supervisor) {
    restarts_.set(supervisor.restart_count());
    deaths_by_signal_.set(supervisor.death_by_signal_count());
    running_.set(supervisor.running_count());
  }

 private:
  Board::Number restarts_;
  Board::Number deaths_by_signal_;
  Board::Number running_;
};

void sleep_until(std::uint64_t deadline_ns, std::span<pollfd> watched) {
  timespec rest{};
  const std::uint64_t now_ns = monotonic_ns();
  const std::uint64_t rest_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
  rest.tv_sec = static_cast<time_t>(rest_ns / 1'000'000'000);
  rest.tv_nsec = static_cast<long>(rest_ns % 1'000'000'000);
  // EINTR and other answers are met by the caller's looking at everything.
  ppoll(watched.data(), watched.size(), deadline_ns == kNoDeadline ? nullptr : &rest, nullptr);
}

// Lives from the first stage's start to the last one's end.
class Run {
 public:
  Run(const PipelinePlan& plan, RunReport& report, Supervisor& supervisor,
      const StopSignals& signals, LiveSampler& sampler, PipelineSegments& segments)
      : plan_(plan),
        report_(report),
        supervisor_(supervisor),
        signals_(signals),
        sampler_(sampler),
        segments_(segments),
        numbers_(segments.board()) {}

  int drive() {
    if (!supervisor_.start_all()) stop_stages("a stage cannot be started");
    numbers_.update(supervisor_);
    next_state_ns_ = monotonic_ns();
    while (!supervisor_.is_over()) {
      show_state();
      std::array<pollfd, 3> watched = {pollfd{supervisor_.poll_fd(), POLLIN, 0},
                                       pollfd{segments_.poll_fd(), POLLIN, 0},
                                       pollfd{signals_.fd(), POLLIN, 0}};
      const std::uint64_t state_ns =
          report_.state_interval_ns() != 0 ? next_state_ns_ : kNoDeadline;
      const std::uint64_t due_ns =
          std::min(supervisor_.next_deadline_ns(), segments_.next_deadline_ns());
      sleep_until(std::min(due_ns, state_ns), watched);
      while (const int number = signals_.next()) heed(number);
      supervisor_.turn();
      // After it: what a stage that has just been started asks for is then known to be its own.
      segments_.turn();
      numbers_.update(supervisor_);
      if (report_.is_broken()) stop_stages("nobody reads the output");
      if (supervisor_.has_failed()) stop_stages("a stage failed");
    }
    return conclude();
  }

 private:
  void stop_stages(const char* why) {
    if (is_stopping_) return;
    is_stopping_ = true;
    report_.stopping(why);
    supervisor_.stop();
  }

  void heed(int signal_number) {
    if (is_interrupted_) return supervisor_.kill_all("asked to stop a second time");
    is_interrupted_ = true;
    stop_stages(signal_number == SIGINT    ? "interrupted"
                : signal_number == SIGTERM ? "asked to terminate"
                                           : "the terminal is gone");
  }

  void show_state() {
    const std::uint64_t interval_ns = report_.state_interval_ns();
    const std::uint64_t now_ns = monotonic_ns();
    if (interval_ns == 0 || now_ns < next_state_ns_) return;
    next_state_ns_ = now_ns + interval_ns;
    report_.state(sampler_.sample(supervisor_.statuses()));
  }

  int conclude() {
    const bool failed = supervisor_.has_failed();
    std::string why = failed                ? supervisor_.why_failed()
                      : is_interrupted_     ? "stopped as asked"
                      : report_.is_broken() ? "nobody reads the output"
                                            : "every stage has finished";
    report_.summary(sampler_.sample(supervisor_.statuses()), failed, why);
    return failed ? kRunFailed : kRunFinished;
  }

  const PipelinePlan& plan_;
  RunReport& report_;
  Supervisor& supervisor_;
  const StopSignals& signals_;
  LiveSampler& sampler_;
  PipelineSegments& segments_;
  RunnerNumbers numbers_;
  std::uint64_t next_state_ns_ = 0;
  bool is_stopping_ = false;
  bool is_interrupted_ = false;
};

int answer_of(RefusalKind kind) {
  switch (kind) {
    case RefusalKind::kForeignAbi:
      return kRunForeignAbi;
    case RefusalKind::kInUse:
    case RefusalKind::kFailed:
      break;
  }
  return kRunFailed;
}

int refuse(RunReport& report, const PipelinePlan& plan, const std::vector<Refusal>& refusals) {
  std::vector<Finding> findings;
  int answer = kRunFailed;
  for (const Refusal& refusal : refusals) {
    findings.push_back(refusal.finding);
    answer = std::max(answer, answer_of(refusal.kind));
  }
  sort_findings(findings);
  report.refused(plan.file, findings);
  return answer;
}

// Everything is checked, and nothing exists yet.
int run_checked(const PipelinePlan& plan, const SegmentDirectory& directory, RunReport& report) {
  // Before the first segment exists, so that a signal finds somebody who removes them.
  const StopSignals signals;
  const Refusal no_set_up{RefusalKind::kFailed,
                          {0, "the run cannot be set up", "no file descriptor is left",
                           "raise the limit of open files (ulimit -n)"}};
  if (!signals.is_open()) return refuse(report, plan, {no_set_up});
  PipelineSegments segments(directory, plan);
  if (const auto refusal = segments.take_lock()) return refuse(report, plan, {*refusal});
  std::size_t swept_count = 0;
  if (const auto refusals = segments.sweep(swept_count); !refusals.empty()) {
    return refuse(report, plan, refusals);
  }
  if (const auto refusal = segments.create()) return refuse(report, plan, {*refusal});
  report.started(plan.name, plan.stages.size(), swept_count);

  Result<Supervisor> supervisor = Supervisor::open(plan, report);
  if (!supervisor) return refuse(report, plan, {no_set_up});
  supervisor->when_started(
      [&](std::size_t stage_index, const Peer& process) { segments.expect(stage_index, process); });
  LiveSampler sampler(directory, plan, segments);
  return Run(plan, report, *supervisor, signals, sampler, segments).drive();
}

}  // namespace

std::vector<Finding> check_before_start(PipelinePlan& plan, const RunOptions& options) {
  keep_exit_statuses();
  std::vector<Finding> findings;
  check_programs(plan, options, findings);
  check_machine(plan, findings);
  sort_findings(findings);
  return findings;
}

int run(PipelinePlan plan, const RunOptions& options) {
  RunReport report({options.json, options.quiet});
  const std::vector<Finding> findings = check_before_start(plan, options);
  if (!findings.empty()) {
    report.refused(plan.file, findings);
    return kRunRefused;
  }
  Result<SegmentDirectory> directory = SegmentDirectory::open();
  if (!directory) {
    const Refusal refusal{RefusalKind::kFailed,
                          {0, "segment directory cannot be used", describe_error(directory.error()),
                           "see SLIPRING_DIR"}};
    return refuse(report, plan, {refusal});
  }
  const int answer = run_checked(plan, *directory, report);
  directory->remove_if_unused();
  return answer;
}

}  // namespace slipring

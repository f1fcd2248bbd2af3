#include "pipelines/stage/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <utility>

#include "pipelines/stage/error_text.h"
#include "pipelines/stage/stage_arguments.h"
#include "platform/process/child.h"
#include "platform/wait/clock.h"

namespace slipring {
namespace {

constexpr int kMaxEvents = 32;

// What an epoll event is about.
enum class Source : std::uint32_t { kProcess, kOutput, kStore };

std::uint64_t tag_of(Source source, std::size_t index) {
  return static_cast<std::uint64_t>(source) << 32 | static_cast<std::uint32_t>(index);
}

}  // namespace

Result<Supervisor> Supervisor::open(const PipelinePlan& plan, RunReport& report) {
  Descriptor epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.is_open()) return Error{ErrorCode::kSystem, errno, "make an epoll instance"};
  return Supervisor(plan, report, std::move(epoll));
}

Supervisor::Supervisor(const PipelinePlan& plan, RunReport& report, Descriptor epoll)
    : plan_(&plan), report_(&report), epoll_(std::move(epoll)) {
  for (const StagePlan& stage : plan.stages) {
    processes_.emplace_back(stage, report);
  }
  statuses_.resize(plan.stages.size());
}

Supervisor::~Supervisor() {
  for (Process& process : processes_) {
    if (!process.peer) continue;
    kill(-process.peer->pid(), SIGKILL);
    // An error means that there is nothing to reap.
    static_cast<void>(process.peer->reap(kNoDeadline));
  }
}

Status Supervisor::watch(std::size_t index, Descriptor output) {
  Process& process = processes_[index];
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag_of(Source::kProcess, index);
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, process.peer->poll_fd(), &event) != 0) {
    return Error{ErrorCode::kSystem, errno, "watch a stage"};
  }
  event.data.u64 = tag_of(Source::kOutput, index);
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, output.get(), &event) != 0) {
    return Error{ErrorCode::kSystem, errno, "watch a stage's output"};
  }
  process.output.open(std::move(output));
  return {};
}

// What outlives the stage's processes, made once.
Status Supervisor::make_endowment(std::size_t index) {
  Process& process = processes_[index];
  if (plan_->stages[index].keeps_descriptors && !process.store) {
    Result<DescriptorStore> store = DescriptorStore::make();
    if (!store) return store.error();
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = tag_of(Source::kStore, index);
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, store->poll_fd(), &event) != 0) {
      return Error{ErrorCode::kSystem, errno, "watch a stage's descriptor store"};
    }
    process.store.emplace(std::move(store).value());
  }
  if (plan_->stages[index].waits_in_epoll && !process.bell) {
    Result<EventBell> bell = EventBell::create();
    if (!bell) return bell.error();
    process.bell.emplace(std::move(bell).value());
  }
  return {};
}

// What the process inherits: its end of the store and all that is kept there, its bell, and those
// of the stages around it.
Status Supervisor::endow(std::size_t index, std::vector<std::string>& words,
                         std::vector<int>& inherited) {
  for (std::size_t i = 0; i < processes_.size(); ++i) {
    if (const Status made = make_endowment(i); !made) return made;
  }
  Process& process = processes_[index];
  if (process.store) {
    if (const Status ready = process.store->prepare(words, inherited); !ready) return ready;
  }
  if (process.bell) {
    words.push_back("--bell=" + std::to_string(process.bell->fd()));
    inherited.push_back(process.bell->fd());
  }
  const auto add_bell = [&](const PortPlan& own, const PortPlan& other) {
    if (own.stage_index != index || other.stage_index == kNoStage) return;
    const std::optional<EventBell>& bell = processes_[other.stage_index].bell;
    if (!bell) return;
    words.push_back("--ring=" + own.port + ":" + std::to_string(bell->fd()));
    inherited.push_back(bell->fd());
  };
  for (const LinkPlan& link : plan_->links) {
    add_bell(link.from, link.to);
    add_bell(link.to, link.from);
  }
  return {};
}

void Supervisor::turn_store(std::size_t index) {
  Process& process = processes_[index];
  process.store->turn();
  const std::string complaint = process.store->take_complaint();
  if (!complaint.empty()) report_->stage_said(plan_->stages[index].name, "warning: " + complaint);
}

Status Supervisor::start(std::size_t index) {
  const StagePlan& stage = plan_->stages[index];
  Result<StageOutput::Pipe> output = StageOutput::make_pipe();
  if (!output) return output.error();
  std::vector<std::string> arguments;
  std::vector<int> inherited;
  if (const Status endowed = endow(index, arguments, inherited); !endowed) return endowed;
  for (std::string& word : stage_arguments(*plan_, index)) arguments.push_back(std::move(word));
  ChildOptions options;
  options.kept_fds = inherited;
  options.program = stage.program_path;
  options.arguments = arguments;
  options.stdout_fd = output->to_write.get();
  options.stderr_fd = output->to_write.get();
  options.cpus = stage.cpus;
  Result<Peer> started = start_child(options);
  if (!started) return started.error();
  Process& process = processes_[index];
  process.peer.emplace(std::move(started).value());
  if (process.store) process.store->started();
  if (when_started_) when_started_(index, *process.peer);
  process.started_ns = monotonic_ns();
  process.restart_at_ns = 0;
  statuses_[index].phase = StagePhase::kRunning;
  statuses_[index].pid = process.peer->pid();
  if (const Status watched = watch(index, std::move(output->to_read)); !watched) {
    // Unwatched it would be forgotten.
    kill(-process.peer->pid(), SIGKILL);
    static_cast<void>(process.peer->reap(kNoDeadline));
    process.peer.reset();
    return watched;
  }
  return {};
}

bool Supervisor::start_all() {
  for (std::size_t i = 0; i < processes_.size(); ++i) statuses_[i].phase = StagePhase::kFailed;
  for (std::size_t i = 0; i < processes_.size(); ++i) {
    if (const Status started = start(i); !started) {
      give_up(i, plan_->stages[i].program_path +
                     " cannot be started: " + describe_error(started.error()));
      return false;
    }
    report_->stage_started(plan_->stages[i].name, statuses_[i].pid);
  }
  return true;
}

void Supervisor::start_again(std::size_t index) {
  Process& process = processes_[index];
  const pid_t old_pid = statuses_[index].pid;
  if (const Status started = start(index); !started) {
    process.restart_at_ns = 0;
    give_up(index, plan_->stages[index].program_path +
                       " cannot be started again: " + describe_error(started.error()));
    return;
  }
  ++restart_count_;
  ++statuses_[index].restart_count;
  report_->stage_restarted(plan_->stages[index].name, old_pid, process.last_status,
                           statuses_[index].pid, process.started_ns - process.died_ns,
                           statuses_[index].restart_count);
}

std::uint64_t Supervisor::next_deadline_ns() const noexcept {
  std::uint64_t deadline_ns = kNoDeadline;
  if (kill_at_ns_ != 0) deadline_ns = kill_at_ns_;
  for (const Process& process : processes_) {
    if (process.restart_at_ns != 0) deadline_ns = std::min(deadline_ns, process.restart_at_ns);
  }
  return deadline_ns;
}

void Supervisor::take_death(std::size_t index) {
  Process& process = processes_[index];
  if (!process.peer) return;
  const pid_t pid = process.peer->pid();
  // Before reaping, so that the number still means this group; ESRCH says that nobody is left.
  kill(-pid, SIGKILL);
  Result<std::optional<ExitStatus>> reaped = process.peer->try_reap();
  if (reaped && !reaped->has_value()) return;  // not dead after all
  const ExitStatus status = reaped ? **reaped : ExitStatus{false, 1, false};
  process.peer.reset();
  process.died_ns = monotonic_ns();
  if (process.store) process.store->ended();
  // What it said last is still in the pipe.
  process.output.read();
  process.output.close();
  answer_death(index, status, process.died_ns);
}

void Supervisor::answer_death(std::size_t index, const ExitStatus& status, std::uint64_t now_ns) {
  Process& process = processes_[index];
  StageStatus& state = statuses_[index];
  const std::string& name = plan_->stages[index].name;
  process.last_status = status;
  if (status.by_signal) ++killed_count_;
  if (is_stopping_) {
    // Ended by what we sent, or in order.
    const bool as_asked =
        status.is_success() || (status.by_signal && (status.value == SIGTERM || has_killed_));
    state.phase = as_asked ? StagePhase::kFinished : StagePhase::kFailed;
    if (as_asked) {
      report_->stage_finished(name, state.pid);
    } else {
      give_up(index, "it ended by " + words_of(status) + " when it was asked to stop");
    }
    return;
  }
  RestartJudge::Verdict verdict = process.judge.judge(status, process.started_ns, now_ns);
  switch (verdict.kind) {
    case RestartJudge::Verdict::Kind::kFinished:
      state.phase = StagePhase::kFinished;
      report_->stage_finished(name, state.pid);
      return;
    case RestartJudge::Verdict::Kind::kGiveUp:
      give_up(index, std::move(verdict.why));
      return;
    case RestartJudge::Verdict::Kind::kRestart:
      break;
  }
  report_->stage_died(name, state.pid, status, verdict.delay_ns);
  state.phase = StagePhase::kRestarting;
  process.restart_at_ns = now_ns + verdict.delay_ns;
  if (verdict.delay_ns == 0) start_again(index);
}

void Supervisor::give_up(std::size_t index, std::string why) {
  statuses_[index].phase = StagePhase::kFailed;
  report_->stage_failed(plan_->stages[index].name, why);
  if (why_failed_.empty()) why_failed_ = "stage " + plan_->stages[index].name + ": " + why;
}

void Supervisor::turn() {
  std::array<epoll_event, kMaxEvents> events;
  const int count = epoll_wait(epoll_.get(), events.data(), kMaxEvents, 0);
  // EINTR is answered by the next turn.
  for (int i = 0; i < count; ++i) {
    const std::uint64_t tag = events[static_cast<std::size_t>(i)].data.u64;
    const auto index = static_cast<std::size_t>(tag & UINT32_MAX);
    switch (static_cast<Source>(tag >> 32)) {
      case Source::kOutput:
        processes_[index].output.read();
        break;
      case Source::kProcess:
        take_death(index);
        break;
      case Source::kStore:
        turn_store(index);
        break;
    }
  }
  const std::uint64_t now_ns = monotonic_ns();
  for (std::size_t i = 0; i < processes_.size(); ++i) {
    const std::uint64_t due_ns = processes_[i].restart_at_ns;
    if (due_ns != 0 && due_ns <= now_ns) start_again(i);
  }
  if (is_stopping_ && !has_asked_all_) ask_the_rest();
  if (kill_at_ns_ != 0 && kill_at_ns_ <= now_ns) {
    kill_all("it did not stop within 5 s");
  }
}

void Supervisor::stop() {
  if (is_stopping_) return;
  is_stopping_ = true;
  kill_at_ns_ = deadline_after(kStopGraceNs);
  for (std::size_t i = 0; i < processes_.size(); ++i) {
    if (processes_[i].restart_at_ns != 0) {
      processes_[i].restart_at_ns = 0;
      statuses_[i].phase = StagePhase::kFinished;
    }
  }
  ask_to_stop(true);
  ask_the_rest();
}

// What carries a link to another machine goes first: it takes a neighbour's end, closed because it
// was asked to stop, for the link's end, and would tell the other machine so.
void Supervisor::ask_the_rest() {
  for (std::size_t i = 0; i < processes_.size(); ++i) {
    if (plan_->stages[i].carries_wire && processes_[i].peer) return;
  }
  ask_to_stop(false);
  has_asked_all_ = true;
}

void Supervisor::ask_to_stop(bool carriers) {
  for (std::size_t i = 0; i < processes_.size(); ++i) {
    if (plan_->stages[i].carries_wire != carriers || !processes_[i].peer) continue;
    // A failure says that it is dead already, and its pidfd will say so too.
    static_cast<void>(processes_[i].peer->send_signal(SIGTERM));
  }
}

void Supervisor::kill_all(const char* why) {
  is_stopping_ = true;
  has_asked_all_ = true;
  has_killed_ = true;
  kill_at_ns_ = 0;
  for (std::size_t i = 0; i < processes_.size(); ++i) {
    if (!processes_[i].peer) continue;
    report_->stage_killed(plan_->stages[i].name, statuses_[i].pid, why);
    if (why_failed_.empty()) {
      why_failed_ = "stage " + plan_->stages[i].name + " had to be killed: " + why;
    }
    kill(-statuses_[i].pid, SIGKILL);
  }
}

bool Supervisor::is_over() const noexcept {
  return std::all_of(processes_.begin(), processes_.end(), [](const Process& process) {
    return !process.peer && process.restart_at_ns == 0;
  });
}

std::uint32_t Supervisor::running_count() const noexcept {
  return static_cast<std::uint32_t>(
      std::count_if(processes_.begin(), processes_.end(),
                    [](const Process& process) { return process.peer.has_value(); }));
}

}  // namespace slipring

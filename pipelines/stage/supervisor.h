// The stages' processes: started, watched, restarted, stopped, reaped.
//
// One epoll instance watches every process (pidfd) and every pipe that a stage's stdout and stderr
// go to; the owner sleeps on poll_fd() until next_deadline_ns() and then calls turn().  Between
// events nothing is done.
//
// Restart.  A death that the policy answers with a restart is answered at once, or after a delay,
// as restart_judge.h has it.  A program that cannot be executed any more ends the stage for good.
//
// What a stage keeps beyond its process's life is here as well: its descriptor store, and the event
// bell that the stages around it ring.
//
// A stage's process leads a group of its own; what is left of the group when the stage has ended is
// killed, so that nothing of it survives.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/error/result.h"
#include "pipelines/stage/descriptor_store.h"
#include "pipelines/stage/live_state.h"
#include "pipelines/stage/pipeline_plan.h"
#include "pipelines/stage/restart_judge.h"
#include "pipelines/stage/run_report.h"
#include "pipelines/stage/stage_output.h"
#include "platform/process/descriptor.h"
#include "platform/process/peer.h"
#include "platform/wait/event_bell.h"

namespace slipring {

// From the request to stop until a stage is killed.
inline constexpr std::uint64_t kStopGraceNs = 5'000'000'000;

// Requires: SIGCHLD is not ignored, and nobody else reaps; the thread lives as long as the stages.
class Supervisor {
 public:
  // Errors: kSystem.
  static Result<Supervisor> open(const PipelinePlan& plan, RunReport& report);
  // Called with every process that is started, before it can be heard of otherwise.
  void when_started(std::function<void(std::size_t stage_index, const Peer& process)> call) {
    when_started_ = std::move(call);
  }
  Supervisor(Supervisor&&) = default;
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;
  // Kills and reaps what still runs.
  ~Supervisor();

  // Starts every stage, in the plan's order.  At the first that cannot be started (reported) the
  // rest is left; stop() then ends those that run.
  [[nodiscard]] bool start_all();

  [[nodiscard]] int poll_fd() const noexcept { return epoll_.get(); }
  // When turn() is due although nothing happened.  kNoDeadline: never.
  [[nodiscard]] std::uint64_t next_deadline_ns() const noexcept;
  // Handles what has happened and what is due.  Never sleeps.
  void turn();

  // Asks the stages to end; they are killed after kStopGraceNs.  A second call has no effect.
  void stop();
  // Kills what still runs, now.
  void kill_all(const char* why);

  // Nothing runs and nothing is due.
  [[nodiscard]] bool is_over() const noexcept;
  // A stage failed for good, or had to be killed at the stop; why_failed() says which.
  [[nodiscard]] bool has_failed() const noexcept { return !why_failed_.empty(); }
  [[nodiscard]] const std::string& why_failed() const noexcept { return why_failed_; }

  [[nodiscard]] const std::vector<StageStatus>& statuses() const noexcept { return statuses_; }
  [[nodiscard]] std::uint32_t running_count() const noexcept;
  [[nodiscard]] std::uint64_t restart_count() const noexcept { return restart_count_; }
  [[nodiscard]] std::uint64_t death_by_signal_count() const noexcept { return killed_count_; }

 private:
  struct Process {
    Process(const StagePlan& stage, RunReport& report) : output(report, stage.name), judge(stage) {}

    std::optional<Peer> peer;
    StageOutput output;
    std::optional<DescriptorStore> store;
    std::optional<EventBell> bell;
    RestartJudge judge;
    std::uint64_t started_ns = 0;
    std::uint64_t died_ns = 0;
    std::uint64_t restart_at_ns = 0;  // 0: none is due
    ExitStatus last_status;
  };

  Supervisor(const PipelinePlan& plan, RunReport& report, Descriptor epoll);
  [[nodiscard]] Status start(std::size_t index);
  [[nodiscard]] Status make_endowment(std::size_t index);
  [[nodiscard]] Status endow(std::size_t index, std::vector<std::string>& words,
                             std::vector<int>& inherited);
  void turn_store(std::size_t index);
  [[nodiscard]] Status watch(std::size_t index, Descriptor output);
  void start_again(std::size_t index);
  void take_death(std::size_t index);
  void answer_death(std::size_t index, const ExitStatus& status, std::uint64_t now_ns);
  void give_up(std::size_t index, std::string why);
  void ask_to_stop(bool carriers);
  void ask_the_rest();

  const PipelinePlan* plan_;
  RunReport* report_;
  Descriptor epoll_;
  std::vector<Process> processes_;
  std::vector<StageStatus> statuses_;
  std::function<void(std::size_t, const Peer&)> when_started_;
  std::string why_failed_;
  std::uint64_t restart_count_ = 0;
  std::uint64_t killed_count_ = 0;
  std::uint64_t kill_at_ns_ = 0;  // 0: not stopping, or killed already
  bool is_stopping_ = false;
  bool has_asked_all_ = false;  // to stop
  bool has_killed_ = false;
};

}  // namespace slipring

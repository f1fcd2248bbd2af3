#include "pipelines/stage/restart_judge.h"

#include <signal.h>

#include <algorithm>

#include "pipelines/stage/quantity.h"
#include "pipelines/stage/run_report.h"

namespace slipring {
namespace {

constexpr int kExitRefusedConfiguration = 2;

std::uint64_t quick_failure_delay_ns(std::uint32_t failure_count) {
  if (failure_count <= kFreeQuickFailures) return 0;
  const std::uint32_t doublings = failure_count - kFreeQuickFailures - 1;
  if (doublings >= 16) return kMaxRestartDelayNs;
  return std::min(kFirstRestartDelayNs << doublings, kMaxRestartDelayNs);
}

}  // namespace

RestartJudge::Verdict RestartJudge::judge(const ExitStatus& status, std::uint64_t started_ns,
                                          std::uint64_t now_ns) {
  using Kind = Verdict::Kind;
  if (status.is_success() && stage_->restart != RestartPolicy::kAlways) {
    return {Kind::kFinished, 0, ""};
  }
  const std::string how = "it ended by " + words_of(status);
  if (!status.by_signal && status.value == kExitRefusedConfiguration) {
    return {Kind::kGiveUp, 0, how + ", which says that it refuses its configuration"};
  }
  if (stage_->restart == RestartPolicy::kNever) {
    return {Kind::kGiveUp, 0, how + ", and restart = \"never\""};
  }
  const std::uint64_t window_ns = stage_->restart_window_ns;
  while (!restarts_ns_.empty() && restarts_ns_.front() + window_ns <= now_ns) {
    restarts_ns_.pop_front();
  }
  if (restarts_ns_.size() >= stage_->restart_limit) {
    return {Kind::kGiveUp, 0,
            how + " after " + std::to_string(restarts_ns_.size()) + " restarts within " +
                format_duration(window_ns) +
                " (restart_limit = " + std::to_string(stage_->restart_limit) + ")"};
  }
  restarts_ns_.push_back(now_ns);
  const bool was_killed = status.by_signal && status.value == SIGKILL;
  if (was_killed || now_ns - started_ns >= kQuickFailureNs) {
    quick_failure_count_ = 0;
    return {Kind::kRestart, 0, ""};
  }
  ++quick_failure_count_;
  return {Kind::kRestart, quick_failure_delay_ns(quick_failure_count_), ""};
}

}  // namespace slipring

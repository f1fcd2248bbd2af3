// When and whether a stage is started again.
//
// A death that the policy answers with a restart is answered at once, unless the stage has failed
// by itself several times in a row within kQuickFailureNs of its start: then the restart waits,
// twice as long each time, up to kMaxRestartDelayNs.  A stage that was killed from outside
// (SIGKILL) did not fail by itself.  More than restart_limit restarts within restart_window, or
// exit status 2 (the stage refuses its configuration), end the stage for good.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "pipelines/stage/pipeline_plan.h"
#include "platform/process/peer.h"

namespace slipring {

inline constexpr std::uint64_t kQuickFailureNs = 1'000'000'000;
inline constexpr std::uint32_t kFreeQuickFailures = 2;  // in a row, without delay
inline constexpr std::uint64_t kFirstRestartDelayNs = 100'000'000;
inline constexpr std::uint64_t kMaxRestartDelayNs = 1'000'000'000;

// Holds no process; times come from the caller.
class RestartJudge {
 public:
  struct Verdict {
    enum class Kind : std::uint8_t { kFinished, kRestart, kGiveUp } kind;
    std::uint64_t delay_ns = 0;  // of a restart
    std::string why;             // of giving up
  };

  explicit RestartJudge(const StagePlan& stage) : stage_(&stage) {}

  // The stage ran from `started_ns` to `now_ns` and ended so.
  [[nodiscard]] Verdict judge(const ExitStatus& status, std::uint64_t started_ns,
                              std::uint64_t now_ns);

 private:
  const StagePlan* stage_;
  std::deque<std::uint64_t> restarts_ns_;  // within the window
  std::uint32_t quick_failure_count_ = 0;  // in a row
};

}  // namespace slipring

#include "pipelines/stage/restart_judge.h"

#include <doctest/doctest.h>
#include <signal.h>

#include <string>
#include <vector>

#include "pipelines/stage/run_report.h"

namespace slipring {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr ExitStatus kSuccess{false, 0, false};
constexpr ExitStatus kFailure{false, 1, false};
constexpr ExitStatus kCrash{true, SIGSEGV, true};
constexpr ExitStatus kKilled{true, SIGKILL, false};

using Kind = RestartJudge::Verdict::Kind;

StagePlan stage_with(RestartPolicy policy, std::uint32_t limit = 10) {
  StagePlan stage;
  stage.name = "demux";
  stage.restart = policy;
  stage.restart_limit = limit;
  stage.restart_window_ns = 10 * kSecondNs;
  return stage;
}

}  // namespace

TEST_CASE("restart_judge: the policy decides what an end means") {
  struct Case {
    RestartPolicy policy;
    ExitStatus status;
    Kind kind;
  };
  const Case cases[] = {
      {RestartPolicy::kOnFailure, kSuccess, Kind::kFinished},
      {RestartPolicy::kOnFailure, kFailure, Kind::kRestart},
      {RestartPolicy::kOnFailure, kCrash, Kind::kRestart},
      {RestartPolicy::kAlways, kSuccess, Kind::kRestart},
      {RestartPolicy::kAlways, kCrash, Kind::kRestart},
      {RestartPolicy::kNever, kSuccess, Kind::kFinished},
      {RestartPolicy::kNever, kFailure, Kind::kGiveUp},
      {RestartPolicy::kOnFailure, {false, 2, false}, Kind::kGiveUp},
      {RestartPolicy::kAlways, {false, 2, false}, Kind::kGiveUp},
  };
  for (const Case& one : cases) {
    const StagePlan stage = stage_with(one.policy);
    CAPTURE(name_of(one.policy));
    CAPTURE(words_of(one.status));
    CHECK(RestartJudge(stage).judge(one.status, 0, 5 * kSecondNs).kind == one.kind);
  }
}

TEST_CASE("restart_judge: quick failures in a row wait longer and longer") {
  const StagePlan stage = stage_with(RestartPolicy::kOnFailure, 100);
  RestartJudge judge(stage);
  std::vector<std::uint64_t> delays_ms;
  for (std::uint64_t i = 0; i < 9; ++i) {
    delays_ms.push_back(judge.judge(kCrash, i, i + 1).delay_ns / 1'000'000);
  }
  CHECK(delays_ms == std::vector<std::uint64_t>{0, 0, 100, 200, 400, 800, 1000, 1000, 1000});
  // One that has worked for a while starts the count anew.
  CHECK(judge.judge(kCrash, 20, 20 + kQuickFailureNs).delay_ns == 0);
  CHECK(judge.judge(kCrash, 2 * kSecondNs, 2 * kSecondNs + 1).delay_ns == 0);
}

TEST_CASE("restart_judge: a killed stage is started again at once, however often") {
  const StagePlan stage = stage_with(RestartPolicy::kOnFailure, 100);
  RestartJudge judge(stage);
  for (std::uint64_t i = 0; i < 50; ++i) {
    const auto verdict = judge.judge(kKilled, i, i + 1);
    CHECK(verdict.kind == Kind::kRestart);
    CHECK(verdict.delay_ns == 0);
  }
}

TEST_CASE("restart_judge: more restarts than the limit within the window end the stage") {
  const StagePlan stage = stage_with(RestartPolicy::kOnFailure, 3);
  RestartJudge judge(stage);
  for (std::uint64_t second = 0; second < 3; ++second) {
    CHECK(judge.judge(kKilled, 0, second * kSecondNs).kind == Kind::kRestart);
  }
  // The first restart leaves the window 10 s after it.
  RestartJudge full = judge;
  const auto verdict = full.judge(kKilled, 0, 10 * kSecondNs - 1);
  CHECK(verdict.kind == Kind::kGiveUp);
  CHECK(verdict.why ==
        "it ended by signal 9 (Killed) after 3 restarts within 10 s (restart_limit = 3)");
  CHECK(judge.judge(kKilled, 0, 10 * kSecondNs).kind == Kind::kRestart);
  const StagePlan none = stage_with(RestartPolicy::kOnFailure, 0);
  CHECK(RestartJudge(none).judge(kKilled, 0, 0).kind == Kind::kGiveUp);
}

TEST_CASE("restart_judge: an end is told in words") {
  CHECK(words_of(kFailure) == "exit status 1");
  CHECK(words_of(kKilled) == "signal 9 (Killed)");
  CHECK(words_of(kCrash) == "signal 11 (Segmentation fault), core dumped");
}

}  // namespace slipring

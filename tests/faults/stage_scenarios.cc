// pipelines/stage: the runner's segments, and its stages' processes.
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <optional>
#include <string>
#include <utility>

#include "pipelines/stage/segments.h"
#include "pipelines/stage/supervisor.h"
#include "platform/wait/clock.h"
#include "tests/faults/scenario.h"

namespace slipring::faults {

namespace {

constexpr std::uint64_t kLongNs = 10'000'000'000;

PipelinePlan two_stages() {
  PipelinePlan plan;
  plan.name = "p";
  // Brokers and what they make have their scenarios in guarded_scenarios.cc.
  plan.protection = Protection::kNamed;
  for (const char* name : {"a", "b"}) {
    StagePlan stage;
    stage.name = name;
    stage.program_path = "/bin/true";
    stage.restart = RestartPolicy::kNever;
    plan.stages.push_back(stage);
  }
  LinkPlan link;
  link.name = "l";
  link.from = {0, "out", 0};
  link.to = {1, "in", 0};
  link.capacity_bytes = kMinCapacityBytes;
  link.protection = Protection::kNamed;
  plan.links.push_back(link);
  return plan;
}

// The last refusal's words, which the outcome points to.
std::string words;

Outcome refused(const Refusal& refusal) {
  words = refusal.finding.wrong + ": " + refusal.finding.found;
  return Outcome::refused(words.c_str());
}

Outcome make_segments(Stage& stage) {
  const PipelinePlan plan = two_stages();
  PipelineSegments segments(*stage.directory, plan);
  if (const std::optional<Refusal> refusal = segments.take_lock()) return refused(*refusal);
  std::size_t swept_count = 0;
  const std::vector<Refusal> refusals = segments.sweep(swept_count);
  if (!refusals.empty()) return refused(refusals.front());
  if (const std::optional<Refusal> refusal = segments.create()) return refused(*refusal);
  return Outcome::done();
}

Outcome run_stages(Stage&) {
  const PipelinePlan plan = two_stages();
  RunReport report({.json = false, .quiet = true});
  Result<Supervisor> supervisor = Supervisor::open(plan, report);
  if (!supervisor.ok()) return Outcome::failed(supervisor.error());
  const bool is_started = supervisor->start_all();
  if (!is_started) supervisor->stop();
  const std::uint64_t deadline_ns = deadline_after(kLongNs);
  while (!supervisor->is_over()) {
    struct pollfd events = {supervisor->poll_fd(), POLLIN, 0};
    ::ppoll(&events, 1, nullptr, nullptr);
    supervisor->turn();
    if (monotonic_ns() >= deadline_ns) return Outcome::lying("the stages do not end");
  }
  if (!supervisor->has_failed()) return Outcome::done();
  words = supervisor->why_failed();
  return Outcome::refused(words.c_str());
}

}  // namespace

std::vector<Scenario> stage_scenarios() {
  std::vector<Scenario> all;
  all.push_back({.name = "stage: lock, sweep, make, remove segments",
                 .prepare = prepare_directory,
                 .run = make_segments,
                 // The next run takes the lock over and sweeps.
                 .may_leave = "; file left: "});
  all.push_back({.name = "stage: start, watch, reap processes",
                 .prepare =
                     [](Stage&) {
                       const struct rlimit few = {64, 64};
                       if (::setrlimit(RLIMIT_NOFILE, &few) != 0) scenario_broken("no limit");
                     },
                 .run = run_stages});
  return all;
}

}  // namespace slipring::faults

// A runner's segments, from the lock to the last name taken away.

#include <memory>
#include <string>
#include <utility>

#include "pipelines/stage/segments.h"
#include "tests/crash/link/link_operations.h"
#include "tests/crash/link/link_scene.h"

namespace slipring::crash {
namespace {

PipelinePlan small_plan() {
  PipelinePlan plan;
  plan.name = "crash";
  plan.stages.resize(2);
  plan.stages[0].name = "one";
  plan.stages[1].name = "two";
  LinkPlan link;
  link.name = "link";
  link.from = {0, "out", 0};
  link.to = {1, "in", 0};
  link.capacity_bytes = 4096;
  plan.links.push_back(link);
  return plan;
}

enum class RunAct { kStart, kStartOver, kEnd };
constexpr const char* kRunActs[] = {"start", "start after a killed run", "end"};

class PipelineScene : public DirectoryScene {
 public:
  PipelineScene(const PrivateTmpfs& tmpfs, RunAct act)
      : DirectoryScene(tmpfs), plan_(small_plan()), act_(act) {
    if (act != RunAct::kStartOver) return;
    // What a killed run leaves: everything but its processes.
    for (const char* name : {"crash.runner", "crash.one.board", "crash.two.board"}) {
      if (!create_board(segments(), name)) abort();
    }
    if (!create_link(segments(), "crash.link", shape_of(plan_.links[0]))) abort();
  }

  int child() override {
    std::optional<PipelineSegments> run;
    const bool starts = act_ != RunAct::kEnd;
    if (starts) mark();
    const int answer = start(run);
    if (!starts) mark();
    if (starts) mark();
    run.reset();
    if (!starts) mark();
    return answer;
  }

  // Another runner of the same pipeline: it is refused, or it is the one.
  void others_go_on(Verdict& verdict, const TracedChild& child, std::uint64_t) override {
    PipelineSegments other(segments(), plan_);
    if (const auto refusal = other.take_lock(0)) {
      verdict.expect(refusal->kind == RefusalKind::kInUse, "a living run is refused otherwise");
      verdict.expect(refusal->finding.found.find(std::to_string(child.pid())) != std::string::npos,
                     "the running process is not named");
      return;
    }
    std::size_t swept = 0;
    verdict.expect(other.sweep(swept).empty() && !other.create(), "the other run cannot start");
  }

  void settle(Verdict& verdict, int exit_status) override {
    verdict.expect(exit_status <= 0 || exit_status == kExitBusy, "the child does not end well");
    {
      std::optional<PipelineSegments> next;
      verdict.expect(start(next) == 0, "the next run cannot start");
    }
    expect_nothing_left(verdict);
  }

 private:
  int start(std::optional<PipelineSegments>& run) {
    run.emplace(segments(), plan_);
    std::size_t swept = 0;
    if (run->take_lock(0)) return kExitBusy;
    if (!run->sweep(swept).empty()) return 2;
    return run->create() ? 3 : 0;
  }

  PipelinePlan plan_;
  RunAct act_;
};

}  // namespace

std::vector<Operation> pipeline_operations(const PrivateTmpfs& tmpfs) {
  std::vector<Operation> operations;
  for (int i = 0; i <= static_cast<int>(RunAct::kEnd); ++i) {
    const auto act = static_cast<RunAct>(i);
    operations.push_back({std::string("pipeline: ") + kRunActs[i],
                          [&tmpfs, act] { return std::make_unique<PipelineScene>(tmpfs, act); }});
  }
  return operations;
}

}  // namespace slipring::crash

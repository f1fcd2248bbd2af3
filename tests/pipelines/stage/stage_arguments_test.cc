#include "pipelines/stage/stage_arguments.h"

#include <doctest/doctest.h>

namespace slipring {
namespace {

StagePlan stage_called(const char* name) {
  StagePlan stage;
  stage.name = name;
  return stage;
}

TEST_CASE("stage_arguments: a stage is started with its ends, its board and its options") {
  PipelinePlan plan;
  plan.name = "box";
  plan.memlock = MemlockPolicy::kRequire;
  StagePlan source = stage_called("source");
  source.wait = WaitPolicy::kSleep;
  source.options = {{"url", "a b=c", 1}, {"empty", "", 2}};
  plan.stages = {source, stage_called("demux")};
  LinkPlan ts;
  ts.name = "ts";
  ts.from = {0, "out", 1};
  ts.to = {1, "in", 1};
  LinkPlan back;
  back.name = "back";
  back.from = {1, "back", 1};
  back.to = {0, "again", 1};
  plan.links = {ts, back};
  plan.oobs = {{"channel", {0, "commands", 1}, 1}};
  CHECK(stage_arguments(plan, 0) ==
        std::vector<std::string>{"--stage=source", "--board=box.source.board", "--out=out:box.ts",
                                 "--in=again:box.back", "--oob=commands:box.channel",
                                 "--memlock=require", "--wait=sleep", "--sandbox=on", "--",
                                 "--url=a b=c", "--empty="});
  CHECK(stage_arguments(plan, 1) ==
        std::vector<std::string>{"--stage=demux", "--board=box.demux.board", "--in=in:box.ts",
                                 "--out=back:box.back", "--memlock=require", "--wait=adaptive",
                                 "--sandbox=on", "--"});
}

}  // namespace
}  // namespace slipring

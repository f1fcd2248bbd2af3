#include "pipelines/stage/stage_arguments.h"

namespace slipring {

std::vector<std::string> stage_arguments(const PipelinePlan& plan, std::size_t stage_index) {
  const StagePlan& stage = plan.stages[stage_index];
  std::vector<std::string> words;
  words.push_back("--stage=" + stage.name);
  words.push_back("--board=" + board_name(plan, stage.name));
  for (const LinkPlan& link : plan.links) {
    const std::string segment = segment_name(plan, link.name);
    if (link.to.stage_index == stage_index) {
      words.push_back("--in=" + link.to.port + ":" + segment);
    }
    if (link.from.stage_index == stage_index) {
      words.push_back("--out=" + link.from.port + ":" + segment);
    }
  }
  for (const OobPlan& oob : plan.oobs) {
    if (oob.to.stage_index != stage_index) continue;
    words.push_back("--oob=" + oob.to.port + ":" + segment_name(plan, oob.name));
  }
  words.push_back(std::string("--memlock=") + name_of(plan.memlock));
  words.push_back(std::string("--wait=") + name_of(stage.wait));
  if (plan.sandbox == Sandbox::kOn) words.push_back("--sandbox=on");
  words.push_back("--");
  for (const OptionPlan& option : stage.options) {
    words.push_back("--" + option.key + "=" + option.value);
  }
  return words;
}

}  // namespace slipring

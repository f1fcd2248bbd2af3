#include "pipelines/stage/plan_topology.h"

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <utility>

#include "pipelines/stage/plan_text.h"

namespace slipring {
namespace {

bool has_unknown_end(const PipelinePlan& plan) {
  for (const LinkPlan& link : plan.links) {
    if (!is_known(plan, link.from) || !is_known(plan, link.to)) return true;
  }
  for (const OobPlan& oob : plan.oobs) {
    if (!is_known(plan, oob.to)) return true;
  }
  return false;
}

struct FirstUse {
  std::string what;  // "link ts"
  int line;
};

using PortUses = std::map<std::pair<std::size_t, std::string>, FirstUse>;

void note_use(const PipelinePlan& plan, const PortPlan& port, const std::string& what,
              bool is_input, PortUses& uses, std::vector<Finding>& findings) {
  if (!is_known(plan, port)) return;
  const auto [first, is_new] =
      uses.try_emplace({port.stage_index, port.port}, FirstUse{what, port.line});
  if (is_new) return;
  findings.push_back({port.line,
                      is_input ? "input port with two links" : "output port with two links",
                      port_name(plan, port) + " belongs to " + first->second.what + " (line " +
                          std::to_string(first->second.line) + ") and to " + what,
                      is_input ? "a port has one writer; give the stage a second input port"
                               : "a port has one reader; give the stage a second output port"});
}

void check_ports(const PipelinePlan& plan, std::vector<Finding>& findings) {
  PortUses inputs;
  PortUses outputs;
  for (const LinkPlan& link : plan.links) {
    note_use(plan, link.from, "link " + link.name, false, outputs, findings);
    note_use(plan, link.to, "link " + link.name, true, inputs, findings);
  }
  for (const OobPlan& oob : plan.oobs) {
    note_use(plan, oob.to, "oob " + oob.name, true, inputs, findings);
  }
}

void check_joined(const PipelinePlan& plan, std::vector<Finding>& findings) {
  // A misspelt end would be reported a second time here, as the stage that it left alone.
  if (has_unknown_end(plan)) return;
  std::vector<bool> joined(plan.stages.size(), false);
  for (const LinkPlan& link : plan.links) {
    joined[link.from.stage_index] = true;
    joined[link.to.stage_index] = true;
  }
  for (const OobPlan& oob : plan.oobs) joined[oob.to.stage_index] = true;
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    if (joined[i]) continue;
    findings.push_back({plan.stages[i].line, "stage joined to nothing",
                        "\"" + plan.stages[i].name + "\" is in no [[link]] and no [[oob]]",
                        "add a link from it or to it, or remove the stage"});
  }
}

// The links that lead from one stage to another, fewest first; empty when none do.
std::vector<const LinkPlan*> path_between(std::size_t start, std::size_t goal,
                                          const std::vector<const LinkPlan*>& links,
                                          std::size_t stage_count) {
  std::vector<const LinkPlan*> came_by(stage_count, nullptr);
  std::deque<std::size_t> waiting{start};
  while (!waiting.empty() && came_by[goal] == nullptr) {
    const std::size_t stage = waiting.front();
    waiting.pop_front();
    for (const LinkPlan* link : links) {
      const std::size_t next = link->to.stage_index;
      if (link->from.stage_index != stage || next == start || came_by[next] != nullptr) continue;
      came_by[next] = link;
      waiting.push_back(next);
    }
  }
  std::vector<const LinkPlan*> path;
  for (std::size_t stage = goal; came_by[stage] != nullptr;
       stage = came_by[stage]->from.stage_index) {
    path.push_back(came_by[stage]);
  }
  std::reverse(path.begin(), path.end());
  return path;
}

// Links are added one after the other, in the file's order; one that closes a circle is reported
// on its own line and left out, so that each circle is reported once.
void check_cycles(const PipelinePlan& plan, std::vector<Finding>& findings) {
  std::vector<const LinkPlan*> joined;
  for (const LinkPlan& link : plan.links) {
    if (link.credit_count != 0 || !is_known(plan, link.from) || !is_known(plan, link.to)) continue;
    const std::size_t from = link.from.stage_index;
    const std::size_t to = link.to.stage_index;
    const auto way_back = path_between(to, from, joined, plan.stages.size());
    if (from != to && way_back.empty()) {
      joined.push_back(&link);
      continue;
    }
    std::string stages = plan.stages[to].name;
    std::string links;
    for (const LinkPlan* step : way_back) {
      stages += " -> " + plan.stages[step->to.stage_index].name;
      links += step->name + ", ";
    }
    stages += " -> " + plan.stages[to].name;
    findings.push_back({link.line, "cycle without credit",
                        stages + " (links " + links + link.name + ")",
                        "when all are full, all wait for ever: give one of these links a credit, "
                        "credit = 16 for instance"});
  }
}

}  // namespace

std::vector<Finding> check_topology(const PipelinePlan& plan) {
  std::vector<Finding> findings;
  check_ports(plan, findings);
  check_joined(plan, findings);
  check_cycles(plan, findings);
  sort_findings(findings);
  return findings;
}

std::vector<Finding> check_cpus(const PipelinePlan& plan, std::span<const std::uint32_t> allowed) {
  std::vector<Finding> findings;
  for (const StagePlan& stage : plan.stages) {
    std::vector<std::uint32_t> missing;
    for (const std::uint32_t cpu : stage.cpus) {
      if (std::find(allowed.begin(), allowed.end(), cpu) == allowed.end()) missing.push_back(cpu);
    }
    if (missing.empty()) continue;
    findings.push_back({stage.cpu_line, "no such CPU",
                        "stage \"" + stage.name + "\" asks for " + cpu_list(missing),
                        "this process may use CPU " + cpu_list(allowed)});
  }
  return findings;
}

}  // namespace slipring

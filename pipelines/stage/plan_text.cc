#include "pipelines/stage/plan_text.h"

#include <algorithm>

#include "pipelines/stage/plan_size.h"
#include "pipelines/stage/quantity.h"

namespace slipring {
namespace {

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

std::string describe_stage(const PipelinePlan& plan, const StagePlan& stage, std::size_t width) {
  std::string text = "  " + padded(stage.name, width) + "  program " + stage.program;
  if (!stage.program_path.empty()) text += " (" + stage.program_path + ")";
  text += std::string(", restart ") + name_of(stage.restart);
  if (stage.restart != RestartPolicy::kNever) {
    text += " (at most " + std::to_string(stage.restart_limit) + " in " +
            format_duration(stage.restart_window_ns) + ")";
  }
  if (!stage.cpus.empty()) text += ", cpu " + cpu_list(stage.cpus);
  if (stage.wait != plan.wait) text += std::string(", wait ") + name_of(stage.wait);
  text += "\n";
  for (const OptionPlan& option : stage.options) {
    text += "  " + std::string(width, ' ') + "  --" + option.key + "=" + option.value + "\n";
  }
  return text;
}

std::string describe_link(const PipelinePlan& plan, const LinkPlan& link, std::size_t width) {
  std::string text = "  " + padded(link.name, width) + "  ";
  text += is_known(plan, link.from) ? port_name(plan, link.from) : "?";
  text += " -> ";
  text += is_known(plan, link.to) ? port_name(plan, link.to) : "?";
  if (link.kind == LinkKind::kRecords) {
    text += ", records, " + format_bytes(link.capacity_bytes);
  } else {
    text += ", " + std::to_string(link.slot_count) + " slots of " + format_bytes(link.slot_bytes);
  }
  if (link.pool) {
    text += ", pool of " + std::to_string(link.pool->buffer_count) + " buffers of " +
            format_bytes(link.pool->buffer_bytes);
  }
  if (link.credit_count != 0) text += ", credit " + std::to_string(link.credit_count);
  if (link.wire) text += ", carried " + slipring::describe(*link.wire);
  return text + "\n";
}

}  // namespace

std::string port_name(const PipelinePlan& plan, const PortPlan& port) {
  return plan.stages[port.stage_index].name + "." + port.port;
}

std::string cpu_list(std::span<const std::uint32_t> cpus) {
  std::string text;
  for (std::size_t i = 0; i < cpus.size();) {
    std::size_t last = i;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    if (!text.empty()) text += ",";
    text += std::to_string(cpus[i]);
    if (last > i) text += "-" + std::to_string(cpus[last]);
    i = last + 1;
  }
  return text;
}

std::string describe(const WirePlan& wire) {
  return std::string(wire.sends ? "-> " : "<- ") + wire.address +
         (wire.call == WireCall::kListen ? " (listens)" : "");
}

std::string describe(const PipelinePlan& plan) {
  std::size_t width = 0;
  for (const StagePlan& stage : plan.stages) width = std::max(width, stage.name.size());
  for (const LinkPlan& link : plan.links) width = std::max(width, link.name.size());
  for (const OobPlan& oob : plan.oobs) width = std::max(width, oob.name.size());

  std::string text = "pipeline " + plan.name;
  if (!plan.file.empty()) text += " (" + plan.file + ")";
  text += std::string(": memlock ") + name_of(plan.memlock) + ", wait " + name_of(plan.wait) +
          ", " + name_of(plan.protection) + " links";
  if (std::all_of(plan.links.begin(), plan.links.end(),
                  [](const LinkPlan& link) { return validate_shape(shape_of(link)).ok(); })) {
    text += ", " + need_text(total_segment_bytes(plan)) + " of shared memory";
  }
  text += "\n";
  text += "stages\n";
  for (const StagePlan& stage : plan.stages) text += describe_stage(plan, stage, width);
  text += "links\n";
  for (const LinkPlan& link : plan.links) text += describe_link(plan, link, width);
  if (!plan.oobs.empty()) text += "oob\n";
  for (const OobPlan& oob : plan.oobs) {
    text += "  " + padded(oob.name, width) + "  -> ";
    text += (is_known(plan, oob.to) ? port_name(plan, oob.to) : "?") + "\n";
  }
  return text;
}

}  // namespace slipring

#include "pipelines/stage/pipeline_plan.h"

#include <algorithm>
#include <utility>

namespace slipring {
const char* name_of(MemlockPolicy policy) noexcept {
  switch (policy) {
    case MemlockPolicy::kRequire:
      return "require";
    case MemlockPolicy::kTry:
      return "try";
    case MemlockPolicy::kOff:
      return "off";
  }
  return "?";
}

const char* name_of(Protection protection) noexcept {
  switch (protection) {
    case Protection::kGuarded:
      return "guarded";
    case Protection::kNamed:
      return "named";
  }
  return "?";
}

const char* name_of(Sandbox sandbox) noexcept {
  switch (sandbox) {
    case Sandbox::kOff:
      return "off";
    case Sandbox::kOn:
      return "on";
  }
  return "?";
}

const char* name_of(WireCall call) noexcept {
  return call == WireCall::kListen ? "listen" : "connect";
}

const char* name_of(WaitPolicy policy) noexcept {
  switch (policy) {
    case WaitPolicy::kPoll:
      return "poll";
    case WaitPolicy::kAdaptive:
      return "adaptive";
    case WaitPolicy::kSleep:
      return "sleep";
  }
  return "?";
}

const char* name_of(RestartPolicy policy) noexcept {
  switch (policy) {
    case RestartPolicy::kOnFailure:
      return "on-failure";
    case RestartPolicy::kAlways:
      return "always";
    case RestartPolicy::kNever:
      return "never";
  }
  return "?";
}

const char* name_of(LinkKind kind) noexcept {
  return kind == LinkKind::kRecords ? "records" : "slots";
}

bool is_pipeline_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > kMaxPipelineNameBytes) return false;
  const auto is_letter_or_digit = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (!is_letter_or_digit(name.front())) return false;
  return std::all_of(name.begin(), name.end(),
                     [&](char c) { return is_letter_or_digit(c) || c == '_' || c == '-'; });
}

std::vector<std::string> wire_board_names(const PipelinePlan& plan, const LinkPlan& link) {
  if (!link.wire) return {};
  const std::string segment = segment_name(plan, link.name);
  return {segment + ".wire-out", segment + ".wire-in"};
}

std::string segment_name(const PipelinePlan& plan, std::string_view link_name) {
  return plan.name + "." + std::string(link_name);
}

LinkShape shape_of(const LinkPlan& link) noexcept {
  LinkShape shape;
  shape.kind = link.kind == LinkKind::kRecords ? SegmentKind::kRecordLink : SegmentKind::kSlotLink;
  shape.capacity_bytes = link.capacity_bytes;
  shape.slot_count = link.slot_count;
  shape.slot_bytes = link.slot_bytes;
  shape.credit_count = link.credit_count;
  if (link.pool) {
    shape.pool_buffer_count = static_cast<std::uint32_t>(link.pool->buffer_count);
    shape.pool_buffer_bytes = link.pool->buffer_bytes;
  }
  return shape;
}

LinkShape oob_shape() noexcept {
  LinkShape shape;
  shape.kind = SegmentKind::kRecordLink;
  shape.capacity_bytes = kOobCapacityBytes;
  return shape;
}

std::string board_name(const PipelinePlan& plan, std::string_view stage_name) {
  return plan.name + "." + std::string(stage_name) + ".board";
}

std::string runner_board_name(const PipelinePlan& plan) {
  return plan.name + ".runner";
}

bool is_known(const PipelinePlan& plan, const PortPlan& port) noexcept {
  return port.stage_index < plan.stages.size();
}

std::optional<Finding> apply_override(PipelinePlan& plan, std::string_view assignment) {
  const Finding refused{0, "bad override", "\"" + std::string(assignment) + "\"",
                        "write --set STAGE.OPTION=VALUE"};
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos) return refused;
  const std::string_view target = assignment.substr(0, equals);
  const std::string value(assignment.substr(equals + 1));
  const std::size_t dot = target.find('.');
  if (dot == std::string_view::npos) return refused;
  const std::string stage_name(target.substr(0, dot));
  const std::string key(target.substr(dot + 1));
  if (!is_pipeline_name(key) || value.find('\0') != std::string::npos) return refused;

  const auto stage =
      std::find_if(plan.stages.begin(), plan.stages.end(),
                   [&](const StagePlan& candidate) { return candidate.name == stage_name; });
  if (stage == plan.stages.end()) {
    std::vector<std::string> names;
    for (const StagePlan& candidate : plan.stages) names.push_back(candidate.name);
    const auto meant = nearest_name(stage_name, names);
    return Finding{
        0, "unknown stage in override", "\"" + stage_name + "\"",
        meant ? "did you mean \"" + *meant + "\"?" : "the stages are " + comma_list(names)};
  }
  for (OptionPlan& option : stage->options) {
    if (option.key != key) continue;
    option.value = value;
    return std::nullopt;
  }
  stage->options.push_back({key, value, 0});
  return std::nullopt;
}

}  // namespace slipring

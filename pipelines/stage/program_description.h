// What a stage's program says about itself when asked with --describe: its ports and options.
//
// The answer comes from a program that anybody may have written: it is input, bounded in time and
// size, and a program that does not answer is a finding and no failure of ours.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipelines/stage/finding.h"
#include "pipelines/stage/pipeline_plan.h"

namespace slipring {

inline constexpr std::uint64_t kDescribeTimeoutNs = 10'000'000'000;
inline constexpr std::size_t kMaxDescriptionBytes = 64 * 1024;

enum class DescribedPortKind : std::uint8_t { kInput, kOutput, kCommands };

struct DescribedPort {
  DescribedPortKind kind;
  std::string name;
  bool required;
};

struct ProgramDescription {
  std::vector<DescribedPort> ports;
  std::vector<std::string> options;
  bool keeps_descriptors = false;  // wants a descriptor store
  bool waits_in_epoll = false;     // wants an event bell
};

// Reads the lines that Stage prints; nothing when they are not such a description.  Lines of kinds
// that are not known are passed over: a newer program may say more.
[[nodiscard]] std::optional<ProgramDescription> parse_description(std::string_view text);

// The program's answer, or what went wrong in words: it cannot be started, is silent, takes longer
// than kDescribeTimeoutNs (it is killed then), or ends with a failure.
struct DescribeAnswer {
  std::optional<ProgramDescription> description;
  std::string fault;
};
[[nodiscard]] DescribeAnswer ask_program(const std::string& program_path);

// Ports and options that the file gives a stage and that its program does not know; ports that the
// program needs and that nothing is joined to.
[[nodiscard]] std::vector<Finding> check_stage_program(const PipelinePlan& plan,
                                                       std::size_t stage_index,
                                                       const ProgramDescription& description);

}  // namespace slipring

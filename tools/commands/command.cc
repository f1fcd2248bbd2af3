#include "tools/commands/command.h"

namespace slipring::tools {
namespace {

// "-i,--interval" as a help shows it.
std::string spaced(std::string names) {
  if (const std::size_t comma = names.find(','); comma != std::string::npos) {
    names.insert(comma + 1, " ");
  }
  return names;
}

std::string behind_names(std::string value) {
  return value.empty() || value.front() == '[' ? value : " " + value;
}

}  // namespace

CommandManual manual_of(const Command& command) {
  CommandManual manual{command.text, {}};
  for (const OptionSpec& option : command.options) {
    if (option.need == Need::kInternal) continue;
    manual.options.push_back(
        {spaced(option.names), behind_names(option.value), option.purpose, option.is_operand()});
  }
  manual.options.push_back({spaced(kHelpNames), "", kHelpPurpose});
  manual.options.push_back({kJsonName, "", kJsonPurpose});
  return manual;
}

}  // namespace slipring::tools

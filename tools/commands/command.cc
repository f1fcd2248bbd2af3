#include "tools/commands/command.h"

namespace slipring::tools {
namespace {

// "-i,--interval" as a help shows it.
std::string spaced(const char* names) {
  std::string text;
  for (; *names != '\0'; ++names) {
    text += *names;
    if (*names == ',') text += ' ';
  }
  return text;
}

std::string behind_names(const char* value) {
  std::string text;
  if (*value != '\0' && *value != '[') text += ' ';
  return text += value;
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

#include "tools/help.h"

#include <algorithm>

#include "tools/cli/terminal.h"

namespace slipring::tools {
namespace {

constexpr std::size_t kHelpColumns = 80;
constexpr std::size_t kOptionColumns = 26;

std::string left_column(std::string text, std::size_t columns) {
  text.resize(std::max(columns, text.size() + 2), ' ');
  return text;
}

std::string option_line(const OptionText& option) {
  const std::string head = "  " + option.names + option.value;
  std::string line = left_column(head, kOptionColumns);
  // A long name has a line of its own.
  if (line.size() > kOptionColumns) line = head + "\n" + std::string(kOptionColumns, ' ');
  return line + wrapped(option.purpose, kHelpColumns, kOptionColumns, kOptionColumns) + "\n";
}

}  // namespace

std::string command_help(const CommandManual& manual) {
  const CommandText& text = manual.text;
  std::string help = std::string(text.purpose) + ".\n\nUsage:\n  slipring " + text.name + " " +
                     text.usage + "\n\nOptions:\n";
  for (const OptionText& option : manual.options) help += option_line(option);
  return help + "\nExamples:\n" + text.examples;
}

std::string program_help(std::span<const CommandManual> manuals) {
  std::string help =
      "slipring: lock-free shared-memory links between the processes of one box.\n\n"
      "Usage:\n  slipring COMMAND [ARGUMENTS]\n\nCommands:\n";
  for (const CommandManual& manual : manuals) {
    help += left_column(std::string("  ") + manual.text.name, 12) + manual.text.purpose + "\n";
  }
  return help +
         "\nEvery command takes --json and --help.  Segments live in $SLIPRING_DIR, or in\n"
         "/dev/shm/slipring-UID.  Exit status: 0 done, 1 a finding or a failure, 2 usage,\n"
         "3 not found, 4 busy or too late, 5 another layout version, 6 permission.\n"
         "\nExamples:\n"
         "  slipring doctor\n"
         "  slipring run settop.toml\n"
         "  slipring stat settop -i 1\n";
}

}  // namespace slipring::tools

// What --help says of a command, and of the program.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace slipring::tools {

// A command as its help shows it.
struct CommandText {
  const char* name;
  const char* purpose;
  const char* usage;     // after the name
  const char* examples;  // three lines
};

struct OptionText {
  std::string names;  // "-i, --interval"; an operand's name
  std::string value;  // as it follows them: " SECONDS", " a|b", "[=SECONDS]"; empty for none
  std::string purpose;
  bool is_operand = false;
};

// All that is known of a command: what its help, its manual page and its completion are made of.
struct CommandManual {
  CommandText text;
  std::vector<OptionText> options;
};

// Both are written for 80 columns.
[[nodiscard]] std::string command_help(const CommandManual& manual);
[[nodiscard]] std::string program_help(std::span<const CommandManual> manuals);

}  // namespace slipring::tools

// A command as the table has it: what its help, its manual page and its completion are made of,
// what the command line fills in, and what is executed then.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "tools/cli/exit_status.h"
#include "tools/help.h"

namespace slipring::tools {

// Where a word goes: a flag, one word, or all there are.  `Command::execute` owns the place.
using OptionPlace = std::variant<bool*, std::string*, std::vector<std::string>*>;

enum class Need : std::uint8_t {
  kOptional,
  kRequired,
  kInternal,  // what the program asks of its own children: nothing shows it
};

struct OptionSpec {
  const char* names;  // "-i,--interval"; an operand's: "NAME"
  const char*
      value;  // "SECONDS", "a|b"; "[=SECONDS]" if it may be left out; "" of a flag, an operand
  const char* purpose;
  OptionPlace place;
  Need need = Need::kOptional;

  [[nodiscard]] bool is_operand() const noexcept { return names[0] != '-'; }
};

// What the place of an option has whose value may be left out and was.
inline constexpr const char* kValueLeftOut = "yes";

// What every command has, behind its own.
inline constexpr const char* kHelpNames = "-h,--help";
inline constexpr const char* kHelpPurpose = "Print this help";
inline constexpr const char* kJsonName = "--json";
inline constexpr const char* kJsonPurpose = "Print JSON for programs, one object a line";

struct Command {
  CommandText text;
  std::vector<OptionSpec> options;  // operands first; without --help and --json
  bool* json;
  std::function<ExitStatus(std::span<const CommandManual> every_manual)> execute;
};

[[nodiscard]] CommandManual manual_of(const Command& command);

}  // namespace slipring::tools

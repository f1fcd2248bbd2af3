#include "tools/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "pipelines/stage/finding.h"
#include "pipelines/stage/pipeline_plan.h"
#include "tools/cli/exit_status.h"
#include "tools/cli/terminal.h"
#include "tools/cli/version.h"
#include "tools/commands/command.h"
#include "tools/commands/command_table.h"
#include "tools/help.h"

namespace slipring::tools {
namespace {

using Words = std::vector<std::string>;

// Which words are an option's, and where they go.
void add_option(CLI::App& parser, const OptionSpec& option) {
  CLI::Option* added = nullptr;
  if (bool* const* flag = std::get_if<bool*>(&option.place)) {
    added = parser.add_flag(option.names, **flag);
  } else if (Words* const* words = std::get_if<Words*>(&option.place)) {
    added = parser.add_option(option.names, **words);
    if (!option.is_operand()) added->allow_extra_args(false);  // one each time it is given
  } else if (std::string& word = *std::get<std::string*>(option.place); *option.value == '[') {
    // A flag, because its value must not be taken from the words that follow.
    added = parser.add_flag(std::string(option.names) + "{" + kValueLeftOut + "}", word);
  } else {
    added = parser.add_option(option.names, word);
  }
  // Operands may stand behind "--", where the library does not look.
  if (option.need == Need::kRequired && !option.is_operand()) added->required();
}

// The library's parser with one inside for each command of the table.
struct CommandLine {
  CLI::App app;
  bool show_version = false;
  std::vector<Command> commands = command_table();

  CommandLine() {
    app.set_help_flag(kHelpNames);
    app.add_flag("-V,--version", show_version);
    app.require_subcommand(0, 1);
    for (const Command& command : commands) {
      CLI::App& parser = *app.add_subcommand(command.text.name);
      parser.set_help_flag(kHelpNames);
      parser.allow_extras();  // for a better complaint than the library's
      parser.add_flag(kJsonName, *command.json);
      for (const OptionSpec& option : command.options) add_option(parser, option);
    }
  }

  // What the words asked for; null for none.
  [[nodiscard]] CLI::App* asked() const {
    const std::vector<CLI::App*> all = app.get_subcommands();
    return all.empty() ? nullptr : all.front();
  }

  [[nodiscard]] const Command& command_of(const CLI::App& parser) const {
    return *std::find_if(commands.begin(), commands.end(), [&parser](const Command& command) {
      return parser.get_name() == command.text.name;
    });
  }

  [[nodiscard]] std::vector<CommandManual> manuals() const {
    std::vector<CommandManual> all;
    for (const Command& command : commands) all.push_back(manual_of(command));
    return all;
  }
};

// The first word is no command: says so, and what was probably meant.
bool is_unknown_command(const CommandLine& line, int argc, char** argv) {
  if (argc < 2 || *argv[1] == '-' || *argv[1] == '\0') return false;
  std::vector<std::string> names;
  for (const Command& command : line.commands) names.emplace_back(command.text.name);
  const std::string word = argv[1];
  if (std::find(names.begin(), names.end(), word) != names.end()) return false;
  const std::optional<std::string> meant = nearest_name(word, names);
  complain("", "there is no command '" + word + "'" +
                   (meant ? "; did you mean '" + *meant + "'?"
                          : "; `slipring --help` lists those there are"));
  return true;
}

// Words that nothing took: says so for the first.
bool has_extra_words(const CLI::App& parser) {
  const std::vector<std::string> extra = parser.remaining();
  if (extra.empty()) return false;
  const std::string& word = extra.front();
  if (word.empty() || word.front() != '-') {
    complain(parser.get_name(),
             "what is '" + word + "'? see `slipring " + parser.get_name() + " --help`");
    return true;
  }
  std::vector<std::string> names;
  for (const CLI::Option* option : parser.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  const std::optional<std::string> meant = nearest_name(word.substr(0, word.find('=')), names);
  complain(parser.get_name(), "there is no option " + word +
                                  (meant ? "; did you mean " + *meant + "?"
                                         : "; see `slipring " + parser.get_name() + " --help`"));
  return true;
}

// The library gives what follows "--" to the program instead of to the command, so that we hand it
// out ourselves.  Answers whether every word found its place.
bool place_last_words(const Command& command, Words words) {
  for (const OptionSpec& option : command.options) {
    if (!option.is_operand() || words.empty()) continue;
    if (Words* const* all = std::get_if<Words*>(&option.place)) {
      (*all)->insert((*all)->end(), words.begin(), words.end());
      words.clear();
    } else if (std::string& one = *std::get<std::string*>(option.place); one.empty()) {
      one = words.front();
      words.erase(words.begin());
    }
  }
  if (words.empty()) return true;
  const std::string name = command.text.name;
  complain(name, "what is '" + words.front() + "'? see `slipring " + name + " --help`");
  return false;
}

bool is_missing(const OptionSpec& option) {
  if (!option.is_operand() || option.need != Need::kRequired) return false;
  Words* const* words = std::get_if<Words*>(&option.place);
  return words != nullptr ? (*words)->empty() : std::get<std::string*>(option.place)->empty();
}

bool has_every_word(const Command& command) {
  const auto missing = std::find_if(command.options.begin(), command.options.end(), is_missing);
  if (missing == command.options.end()) return true;
  const std::string name = command.text.name;
  complain(name, std::string(missing->names) + " is required; see `slipring " + name + " --help`");
  return false;
}

ExitStatus refuse(const CLI::App* asked, std::string_view first_word, const char* why) {
  // A misspelt option is often the reason for a missing one.
  if (asked != nullptr && has_extra_words(*asked)) return ExitStatus::kUsage;
  if (asked == nullptr && first_word.starts_with('-')) {
    complain("", "there is no option " + std::string(first_word) + "; see `slipring --help`");
    return ExitStatus::kUsage;
  }
  const std::string name = asked == nullptr ? "" : asked->get_name();
  complain(name,
           std::string(why) + "; see `slipring " + (name.empty() ? "" : name + " ") + "--help`");
  return ExitStatus::kUsage;
}

ExitStatus parse_and_run(CommandLine& line, int argc, char** argv) {
  if (is_unknown_command(line, argc, argv)) return ExitStatus::kUsage;
  char** const end = argv + argc;
  char** const divider = std::find_if(argv + std::min(argc, 1), end, [](const char* word) {
    return std::string_view(word) == "--";
  });
  const Words last_words(divider == end ? end : divider + 1, end);
  try {
    line.app.parse(static_cast<int>(divider - argv), argv);
  } catch (const CLI::CallForHelp&) {
    const CLI::App* asked = line.asked();
    print(asked == nullptr ? program_help(line.manuals())
                           : command_help(manual_of(line.command_of(*asked))));
    return ExitStatus::kOk;
  } catch (const CLI::ParseError& fault) {
    return refuse(line.asked(), argc > 1 ? argv[1] : "", fault.what());
  }
  if (const CLI::App* asked = line.asked()) {
    const Command& command = line.command_of(*asked);
    const bool sound = !has_extra_words(*asked) && place_last_words(command, last_words) &&
                       has_every_word(command);
    return sound ? command.execute(line.manuals()) : ExitStatus::kUsage;
  }
  print(line.show_version ? "slipring " + std::string(kProgramVersion) + "\n"
                          : program_help(line.manuals()));
  return ExitStatus::kOk;
}

}  // namespace

int run_command_line(int argc, char** argv) {
  CommandLine line;
  return static_cast<int>(finish_output(parse_and_run(line, argc, argv)));
}

}  // namespace slipring::tools

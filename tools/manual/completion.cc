#include "tools/manual/completion.h"

#include <vector>

namespace slipring::tools {
namespace {

constexpr std::string_view kNamesCommand = "slipring completion names 2>/dev/null";

// What may stand in a place of the command line.
enum class Filler : std::uint8_t { kNothing, kWords, kFiles, kFolders, kSegments };

struct Place {
  Filler filler = Filler::kNothing;
  std::vector<std::string> words;
};

std::vector<std::string> split(std::string_view text, std::string_view separators) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t end = text.find_first_of(separators);
    const std::string_view part = text.substr(0, end);
    if (!part.empty()) parts.emplace_back(part);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return parts;
}

// From its placeholder: lower case words with bars between them are a choice; the others say by
// their name what they are.
Place place_of(std::string_view placeholder, std::span<const CommandManual> manuals) {
  if (placeholder.starts_with(' ')) placeholder.remove_prefix(1);
  if (placeholder.find('|') != std::string_view::npos &&
      placeholder.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") == std::string_view::npos) {
    return {Filler::kWords, split(placeholder, "|")};
  }
  if (placeholder == "FILE" || placeholder == "FROM" || placeholder == "TO") {
    return {Filler::kFiles, {}};
  }
  if (placeholder == "DIRECTORY") return {Filler::kFolders, {}};
  if (placeholder == "NAME" || placeholder == "LINK") return {Filler::kSegments, {}};
  if (placeholder == "SHELL") return {Filler::kWords, {"bash", "zsh", "fish", "names"}};
  if (placeholder == "COMMAND") {
    Place place{Filler::kWords, {}};
    for (const CommandManual& manual : manuals) place.words.emplace_back(manual.text.name);
    return place;
  }
  return {};
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// "-i, --interval" as its parts.
std::vector<std::string> names_of(const OptionText& option) {
  return split(option.names, ", ");
}

bool takes_value(const OptionText& option) {
  return option.value.starts_with(' ');
}

// In single quotes, for any of the shells.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char letter : text) {
    if (letter == '\'') {
      out += "'\\''";
    } else {
      out += letter;
    }
  }
  return out + "'";
}

std::string bash_answer(const Place& place) {
  switch (place.filler) {
    case Filler::kWords:
      return "COMPREPLY=($(compgen -W '" + joined(place.words) + "' -- \"$current\"))";
    case Filler::kFiles:
      return "COMPREPLY=($(compgen -f -- \"$current\"))";
    case Filler::kFolders:
      return "COMPREPLY=($(compgen -d -- \"$current\"))";
    case Filler::kSegments:
      return "COMPREPLY=($(compgen -W \"$(" + std::string(kNamesCommand) + ")\" -- \"$current\"))";
    case Filler::kNothing:
      break;
  }
  return "COMPREPLY=()";
}

std::string bash_script(std::span<const CommandManual> manuals) {
  std::string values;
  std::string options;
  std::string operands;
  Place commands = place_of("COMMAND", manuals);
  for (const CommandManual& manual : manuals) {
    const std::string command = manual.text.name;
    Place all{Filler::kWords, {}};
    Place operand;
    for (const OptionText& option : manual.options) {
      if (option.is_operand) {
        if (operand.filler == Filler::kNothing) operand = place_of(option.names, manuals);
        continue;
      }
      for (const std::string& name : names_of(option)) {
        all.words.push_back(name);
        if (!takes_value(option)) continue;
        values += "    " + command + " " + name + ") " +
                  bash_answer(place_of(option.value, manuals)) + "; return ;;\n";
      }
    }
    options += "      " + command + ") " + bash_answer(all) + " ;;\n";
    operands += "      " + command + ") " + bash_answer(operand) + " ;;\n";
  }
  commands.words.insert(commands.words.end(), {"--help", "--version"});
  // Values first: their patterns have a blank, which is quoted by the replacement below.
  std::string quoted_values;
  for (const std::string& line : split(values, "\n")) {
    const std::size_t end = line.find(')');
    quoted_values += "    '" + line.substr(4, end - 4) + "'" + line.substr(end) + "\n";
  }
  return "# Completion of slipring for bash.\n"
         "_slipring() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
         "  local command= index\n"
         "  COMPREPLY=()\n"
         "  for ((index = 1; index < COMP_CWORD; ++index)); do\n"
         "    case ${COMP_WORDS[index]} in\n"
         "      -*) ;;\n"
         "      *) command=${COMP_WORDS[index]}; break ;;\n"
         "    esac\n"
         "  done\n"
         "  if [[ -z $command ]]; then\n"
         "    " +
         bash_answer(commands) +
         "\n"
         "    return\n"
         "  fi\n"
         "  case \"$command $previous\" in\n" +
         quoted_values +
         "  esac\n"
         "  if [[ $current == -* ]]; then\n"
         "    case $command in\n" +
         options +
         "    esac\n"
         "  else\n"
         "    case $command in\n" +
         operands +
         "    esac\n"
         "  fi\n"
         "}\n"
         "complete -o filenames -F _slipring slipring\n";
}

// Inside a _arguments specification brackets and colons have a meaning.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char letter : text) {
    if (letter == '[' || letter == ']' || letter == ':' || letter == '\\') out += '\\';
    out += letter;
  }
  return out;
}

std::string zsh_action(const Place& place) {
  switch (place.filler) {
    case Filler::kWords:
      return "(" + joined(place.words) + ")";
    case Filler::kFiles:
      return "_files";
    case Filler::kFolders:
      return "_files -/";
    case Filler::kSegments:
      return "_slipring_names";
    case Filler::kNothing:
      break;
  }
  return " ";
}

std::string zsh_script(std::span<const CommandManual> manuals) {
  std::string commands;
  std::string cases;
  for (const CommandManual& manual : manuals) {
    const std::string command = manual.text.name;
    commands += "    " + quoted(command + ":" + zsh_text(manual.text.purpose)) + "\n";
    cases += "    " + command + ") _arguments -s";
    for (const OptionText& option : manual.options) {
      const std::string_view placeholder = option.is_operand ? option.names : option.value;
      const std::string action = zsh_action(place_of(placeholder, manuals));
      if (option.is_operand) {
        cases += " \\\n      " + quoted("*:" + zsh_text(option.names) + ":" + action);
        continue;
      }
      for (const std::string& name : names_of(option)) {
        std::string specification = name + "[" + zsh_text(option.purpose) + "]";
        if (takes_value(option)) {
          specification += ":" + zsh_text(option.value.substr(1)) + ":" + action;
        }
        cases += " \\\n      " + quoted(specification);
      }
    }
    cases += " ;;\n";
  }
  return "#compdef slipring\n"
         "# Completion of slipring for zsh.\n"
         "_slipring_names() {\n"
         "  local -a names=(${(f)\"$(" +
         std::string(kNamesCommand) +
         ")\"})\n"
         "  compadd -a names\n"
         "}\n"
         "_slipring() {\n"
         "  local -a commands=(\n" +
         commands +
         "  )\n"
         "  if ((CURRENT == 2)); then\n"
         "    _describe command commands\n"
         "    return\n"
         "  fi\n"
         "  local command=$words[2]\n"
         "  shift words\n"
         "  ((CURRENT--))\n"
         "  case $command in\n" +
         cases +
         "  esac\n"
         "}\n"
         "if [[ $funcstack[1] == _slipring ]]; then _slipring \"$@\"; else compdef _slipring "
         "slipring; fi\n";
}

std::string fish_arguments(const Place& place) {
  switch (place.filler) {
    case Filler::kWords:
      return " -x -a " + quoted(joined(place.words));
    case Filler::kFiles:
      return " -r -F";
    case Filler::kFolders:
      return " -x -a '(__fish_complete_directories)'";
    case Filler::kSegments:
      return " -x -a '(" + std::string(kNamesCommand) + ")'";
    case Filler::kNothing:
      break;
  }
  return " -x";
}

std::string fish_script(std::span<const CommandManual> manuals) {
  std::string script =
      "# Completion of slipring for fish.\n"
      "complete -c slipring -f\n"
      "complete -c slipring -n __fish_use_subcommand -l help -d 'Print the help'\n"
      "complete -c slipring -n __fish_use_subcommand -l version -d 'Print the version'\n";
  for (const CommandManual& manual : manuals) {
    const std::string command = manual.text.name;
    script += "complete -c slipring -n __fish_use_subcommand -a " + command + " -d " +
              quoted(manual.text.purpose) + "\n";
    const std::string begin =
        "complete -c slipring -n '__fish_seen_subcommand_from " + command + "'";
    for (const OptionText& option : manual.options) {
      if (option.is_operand) {
        const Place place = place_of(option.names, manuals);
        if (place.filler == Filler::kNothing) continue;
        const std::string arguments = fish_arguments(place);
        // -x and -r are about options: an operand has only its list, or files.
        script += begin + (place.filler == Filler::kFiles ? " -F" : arguments.substr(3)) + "\n";
        continue;
      }
      script += begin;
      for (const std::string& name : names_of(option)) {
        script += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      }
      if (takes_value(option)) script += fish_arguments(place_of(option.value, manuals));
      script += " -d " + quoted(option.purpose) + "\n";
    }
  }
  return script;
}

}  // namespace

std::optional<Shell> shell_of(std::string_view name) noexcept {
  if (name == "bash") return Shell::kBash;
  if (name == "zsh") return Shell::kZsh;
  if (name == "fish") return Shell::kFish;
  return std::nullopt;
}

std::string completion_script(Shell shell, std::span<const CommandManual> manuals) {
  switch (shell) {
    case Shell::kBash:
      return bash_script(manuals);
    case Shell::kZsh:
      return zsh_script(manuals);
    case Shell::kFish:
      return fish_script(manuals);
  }
  return {};
}

}  // namespace slipring::tools

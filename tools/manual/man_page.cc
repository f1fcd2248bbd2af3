#include "tools/manual/man_page.h"

#include <string_view>

#include "tools/cli/version.h"

namespace slipring::tools {
namespace {

// Text as troff shall show it: hyphens that can be copied to a shell, and no line taken for a
// request.
std::string literal(std::string_view text) {
  std::string out;
  bool at_line_start = true;
  for (const char letter : text) {
    if (at_line_start && (letter == '.' || letter == '\'')) out += "\\&";
    at_line_start = letter == '\n';
    switch (letter) {
      case '\\':
        out += "\\e";
        break;
      case '-':
        out += "\\-";
        break;
      case '^':
        out += "\\(ha";
        break;
      case '~':
        out += "\\(ti";
        break;
      case '\'':
        out += "\\(aq";
        break;
      case '`':
        out += "\\(ga";
        break;
      default:
        out += letter;
    }
  }
  return out;
}

std::string head(const std::string& title, std::string_view purpose) {
  std::string upper = title;
  for (char& letter : upper) {
    if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
  }
  return ".TH " + upper + " 1 " + kProgramDate + " \"slipring " + kProgramVersion +
         "\" \"User Commands\"\n.SH NAME\n" + literal(title) + " \\- " + literal(purpose) + "\n";
}

// Lines that stay as they are.
std::string verbatim(std::string_view text) {
  return ".nf\n" + literal(text) + (text.ends_with('\n') ? "" : "\n") + ".fi\n";
}

// Without what indents it in a help.
std::string unindented(std::string_view text) {
  std::string out;
  bool at_line_start = true;
  for (const char letter : text) {
    if (at_line_start && letter == ' ') continue;
    at_line_start = letter == '\n';
    out += letter;
  }
  return out;
}

std::string synopsis(const CommandText& text) {
  return ".SH SYNOPSIS\n" +
         verbatim(unindented(std::string("slipring ") + text.name + " " + text.usage));
}

std::string options_section(const CommandManual& manual) {
  std::string page = ".SH OPTIONS\n";
  for (const OptionText& option : manual.options) {
    page +=
        ".TP\n.B " + literal(option.names + option.value) + "\n" + literal(option.purpose) + ".\n";
  }
  return page;
}

constexpr const char* kExitStatus =
    ".SH EXIT STATUS\n"
    ".TP\n.B 0\nDone.\n"
    ".TP\n.B 1\nA finding, or a failure.\n"
    ".TP\n.B 2\nThe command line or a pipeline file is wrong.\n"
    ".TP\n.B 3\nNo such segment, link, or file.\n"
    ".TP\n.B 4\nA living process is in the way, or the deadline passed.\n"
    ".TP\n.B 5\nA segment of another layout version.\n"
    ".TP\n.B 6\nOwner, mode, or capability forbids it.\n";

constexpr const char* kEnvironment =
    ".SH ENVIRONMENT\n"
    ".TP\n.B SLIPRING_DIR\nWhere segments live, an absolute path; /dev/shm/slipring\\-UID if "
    "unset.\n"
    ".TP\n.B NO_COLOR\nNot empty: no colours, also on a terminal; nor with TERM=dumb.\n";

}  // namespace

std::string man_page(const CommandManual& manual) {
  const CommandText& text = manual.text;
  return head(std::string("slipring-") + text.name, text.purpose) + synopsis(text) +
         ".SH DESCRIPTION\n" + literal(text.purpose) +
         ".\nData go to standard output,\nand what there is to say about them to standard "
         "error.\n" +
         options_section(manual) + kExitStatus + kEnvironment + ".SH EXAMPLES\n" +
         verbatim(unindented(text.examples)) + ".SH SEE ALSO\n.BR slipring (1)\n";
}

std::string program_man_page(std::span<const CommandManual> manuals) {
  std::string page =
      head("slipring", "lock-free shared-memory links between the processes of one box") +
      ".SH SYNOPSIS\n" + verbatim("slipring COMMAND [ARGUMENTS]\nslipring COMMAND --help") +
      ".SH DESCRIPTION\n"
      "Makes, joins, watches and removes rings in shared memory\n"
      "that survive the death of any of the processes on them.\n"
      "Every command takes\n.B \\-\\-json\nand\n.BR \\-\\-help .\n"
      ".SH COMMANDS\n";
  for (const CommandManual& manual : manuals) {
    page += ".TP\n.BR slipring\\-" + literal(manual.text.name) + " (1)\n" +
            literal(manual.text.purpose) + ".\n";
  }
  return page + kExitStatus + kEnvironment + ".SH FILES\n.TP\n.I /dev/shm/slipring\\-UID\n" +
         "The segments of a user, one file each, and a lock file beside it.\n" + ".SH EXAMPLES\n" +
         verbatim("slipring doctor\nslipring run settop.toml\nslipring stat settop -i 1\n");
}

}  // namespace slipring::tools
